package org.hooklog.bench;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsConfig;

/** What the command line says, as {@code --name value} pairs, and the Streams configuration made of it. */
record Settings(String brokers, String raw, String events, String group, String stateDir, long records, int threads,
                long deadlineSeconds, Map<String, String> extra) {

    static Settings parse(String[] args) {
        if (args.length % 2 != 0) {
            throw new IllegalArgumentException("every argument is a pair: --name value");
        }
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i < args.length; i += 2) {
            given.put(args[i], args[i + 1]);
        }
        Settings settings = new Settings(need(given, "--brokers"), need(given, "--raw"), need(given, "--events"),
            need(given, "--group"), need(given, "--state-dir"), Long.parseLong(need(given, "--records")),
            Integer.parseInt(or(given, "--threads", "2")), Long.parseLong(or(given, "--deadline-seconds", "300")),
            new HashMap<>());
        given.forEach(settings::keep);
        return settings;
    }

    /** What is left over is handed to Streams as it is: {@code --set.producer.linger.ms 5}. */
    private void keep(String name, String value) {
        if (!name.startsWith("--set.")) {
            throw new IllegalArgumentException("unknown argument " + name);
        }
        extra.put(name.substring("--set.".length()), value);
    }

    private static String need(Map<String, String> given, String name) {
        String value = given.remove(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value;
    }

    private static String or(Map<String, String> given, String name, String otherwise) {
        String value = given.remove(name);
        return value == null ? otherwise : value;
    }

    Properties streams() {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        consumer(properties);
        producer(properties);
        properties.putAll(extra);
        return properties;
    }

    private static void consumer(Properties properties) {
        properties.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    }

    private static void producer(Properties properties) {
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
    }
}
