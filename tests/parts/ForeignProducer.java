import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends what stands on standard input, as tests/support/foreign_producers.py writes it. */
public final class ForeignProducer {
    private static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        KafkaProducer<byte[], byte[]> producer = null;
        String ending = "plain";
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            if (words[0].equals("part")) {
                finish(producer, ending, sent);
                ending = words[2];
                producer = producerFor(arguments[0], arguments[1], words[1], !ending.equals("plain"));
                if (!ending.equals("plain")) {
                    producer.beginTransaction();
                }
            } else {
                Base64.Decoder decoder = Base64.getDecoder();
                byte[] value = words.length > 2 ? decoder.decode(words[2]) : new byte[0];
                sent.add(producer.send(new ProducerRecord<>(arguments[1], decoder.decode(words[1]), value)));
            }
        }
        finish(producer, ending, sent);
        PRODUCERS.values().forEach(KafkaProducer::close);
    }

    private static void finish(
            KafkaProducer<byte[], byte[]> producer, String ending, List<Future<RecordMetadata>> sent) throws Exception {
        if (producer == null) {
            return;
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
        sent.clear();
        if (ending.equals("commit")) {
            producer.commitTransaction();
        } else if (ending.equals("abort")) {
            producer.abortTransaction();
        }
    }

    private static KafkaProducer<byte[], byte[]> producerFor(
            String bootstrap, String topic, String codec, boolean transactional) {
        return PRODUCERS.computeIfAbsent(codec + transactional, name -> {
            Properties options = new Properties();
            options.put("bootstrap.servers", bootstrap);
            options.put("compression.type", codec);
            options.put("linger.ms", "20");
            if (transactional) {
                options.put("transactional.id", topic + "-java-" + codec);
            }
            KafkaProducer<byte[], byte[]> made =
                    new KafkaProducer<>(options, new ByteArraySerializer(), new ByteArraySerializer());
            if (transactional) {
                made.initTransactions();
            }
            return made;
        });
    }
}
