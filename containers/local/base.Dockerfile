# Stands in for python:3.11-slim where no image can be pulled: a folder made by debootstrap, imported as an image.
FROM streamgauge-local/debian
RUN apt-get update -qq && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3.11 python3.11-venv ca-certificates >/dev/null && \
    apt-get clean && rm -rf /var/lib/apt/lists/*
