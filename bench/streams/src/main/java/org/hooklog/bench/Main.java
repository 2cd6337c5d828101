package org.hooklog.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.Stores;

/**
 * Dedups and re-keys N records of raw into events, then prints one line of JSON and ends.
 * Its clock runs from the first record that is processed to the commit that covers record N, as the group's offsets show it.
 */
public final class Main {
    private static final long POLL_MS = 5;
    private final Settings settings;
    private final Dedup.Progress progress = new Dedup.Progress(new LongAdder(), new LongAdder());
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final long deadline;

    private Main(Settings settings) {
        this.settings = settings;
        this.deadline = System.nanoTime() + Duration.ofSeconds(settings.deadlineSeconds()).toNanos();
    }

    public static void main(String[] args) throws Exception {
        try {
            new Main(Settings.parse(args)).run();
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            System.exit(2);
        }
    }

    private void run() throws Exception {
        try (Admin admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, settings.brokers()));
             KafkaStreams streams = new KafkaStreams(topology(logId(admin)), settings.streams())) {
            streams.setUncaughtExceptionHandler(e -> {
                failure.set(e);
                return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            measure(admin);
            streams.close(Duration.ofSeconds(30));
        }
    }

    private void measure(Admin admin) throws Exception {
        while (progress.records().sum() == 0) {
            pause();
        }
        long wall = System.nanoTime();
        long cpu = cpuNanos();
        while (progress.records().sum() < settings.records() || committed(admin) < settings.records()) {
            pause();
        }
        report((System.nanoTime() - wall) / 1e9, (cpuNanos() - cpu) / 1e9);
    }

    private void report(double seconds, double cpuSeconds) {
        System.out.println(String.format(Locale.ROOT,
            "{\"records\":%d,\"emitted\":%d,\"seconds\":%.3f,\"cpu_seconds\":%.3f}",
            progress.records().sum(), progress.emitted().sum(), seconds, cpuSeconds));
        System.out.flush();
    }

    private Topology topology(String logId) {
        return new Topology()
            .addSource("raw", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), settings.raw())
            .addProcessor("dedup", () -> new Dedup(logId, progress), "raw")
            .addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(Dedup.STORE),
                Serdes.ByteArray(), Serdes.Long()), "dedup")
            .addSink("events", settings.events(), Serdes.ByteArray().serializer(), Serdes.ByteArray().serializer(),
                "dedup");
    }

    private String logId(Admin admin) throws Exception {
        return admin.describeTopics(List.of(settings.raw())).allTopicNames().get().get(settings.raw()).topicId()
            .toString();
    }

    private long committed(Admin admin) throws Exception {
        return admin.listConsumerGroupOffsets(settings.group()).partitionsToOffsetAndMetadata().get().entrySet()
            .stream().filter(entry -> entry.getKey().topic().equals(settings.raw())).map(Map.Entry::getValue)
            .mapToLong(OffsetAndMetadata::offset).sum();
    }

    private static long cpuNanos() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private void pause() throws Exception {
        if (failure.get() != null) {
            throw new IllegalStateException("Kafka Streams gave up", failure.get());
        }
        if (System.nanoTime() > deadline) {
            throw new TimeoutException("not done within " + settings.deadlineSeconds() + " s, at record "
                + progress.records().sum() + " of " + settings.records());
        }
        Thread.sleep(POLL_MS);
    }
}
