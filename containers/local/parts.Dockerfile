# Stand-ins for images that can't be pulled, with users, paths and commands like theirs; containers/try_locally.py
# builds them. Kafka is the real broker from Maven, Prometheus and Alertmanager are Debian's; MongoDB is a server that
# speaks its protocol, without log-in.
FROM streamgauge-local/python AS java
RUN apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null && \
    apt-get clean && rm -rf /var/lib/apt/lists/*

FROM java AS kafka
COPY jars /opt/kafka/libs
RUN install -d -o 1000 -g 1000 /var/lib/kafka/data
USER 1000:1000

FROM java AS mongo
COPY jars /opt/mongo/libs
COPY classes /opt/mongo/classes
RUN install -d -o 999 -g 999 /data/db
USER 999:999

FROM streamgauge-local/python AS debian
RUN apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager wget >/dev/null && \
    ln -s prometheus-alertmanager /usr/bin/alertmanager && \
    apt-get clean && rm -rf /var/lib/apt/lists/* && \
    install -d -o 65534 -g 65534 /prometheus /alertmanager
USER 65534:65534

FROM debian AS alertmanager
ENTRYPOINT ["alertmanager"]

FROM debian AS prometheus
ENTRYPOINT ["prometheus"]
