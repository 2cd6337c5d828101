package org.hooklog.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;

/** Drops what was seen within the window, and gives the rest its subject as key and the headers of events. */
final class Dedup implements Processor<byte[], byte[], byte[], byte[]> {
    static final String STORE = "seen";
    private static final long WINDOW_MS = 35L * 24 * 60 * 60 * 1000;
    private static final byte[] DEFAULT_NAMESPACE = "stripe".getBytes(UTF_8);

    private final String logId;
    private final Progress progress;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], Long> seen;
    private long highest = Long.MIN_VALUE;

    Dedup(String logId, Progress progress) {
        this.logId = logId;
        this.progress = progress;
    }

    /** What the whole program has seen, over all threads. */
    record Progress(LongAdder records, LongAdder emitted) {}

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        this.seen = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        highest = Math.max(highest, record.timestamp());
        byte[] namespace = value(record.headers(), "hooklog_namespace", DEFAULT_NAMESPACE);
        byte[] identity = identity(namespace, record.key());
        Long last = seen.get(identity);
        seen.put(identity, highest);
        if (last == null || last <= highest - WINDOW_MS) {
            forward(record, new String(namespace, UTF_8));
            progress.emitted.increment();
        }
        progress.records.increment();
    }

    private void forward(Record<byte[], byte[]> record, String namespace) {
        Envelope event = envelope(record.value());
        Headers headers = record.headers();
        describe(event, headers);
        place(headers);
        context.forward(record.withKey(Subject.key(event, namespace).getBytes(UTF_8)).withTimestamp(highest));
    }

    private static void describe(Envelope event, Headers headers) {
        add(headers, "ce_specversion", "1.0");
        add(headers, "ce_id", event.id);
        add(headers, "ce_type", event.type == null ? "unknown" : event.type);
        String source = new String(value(headers, "hooklog_source", DEFAULT_NAMESPACE), UTF_8);
        add(headers, "ce_source", "/sources/" + source);
        add(headers, "ce_time", event.created < 0 ? null : Instant.ofEpochSecond(event.created).toString());
        add(headers, "ce_subject", event.objectId);
        add(headers, "content-type", "application/json");
        add(headers, "hooklog_account", event.account);
        add(headers, "hooklog_livemode", Boolean.toString(event.livemode));
    }

    private void place(Headers headers) {
        RecordMetadata from = context.recordMetadata().orElseThrow();
        add(headers, "hooklog_position", "raw/" + from.partition() + "/" + from.offset());
        add(headers, "hooklog_log", logId);
    }

    private static void add(Headers headers, String name, String value) {
        if (value != null) {
            headers.add(name, value.getBytes(UTF_8));
        }
    }

    private static byte[] value(Headers headers, String name, byte[] otherwise) {
        Header header = headers.lastHeader(name);
        return header == null ? otherwise : header.value();
    }

    private static byte[] identity(byte[] namespace, byte[] id) {
        byte[] key = new byte[namespace.length + 1 + id.length];
        System.arraycopy(namespace, 0, key, 0, namespace.length);
        System.arraycopy(id, 0, key, namespace.length + 1, id.length);
        return key;
    }

    private static Envelope envelope(byte[] body) {
        try {
            return Envelope.read(body);
        } catch (IOException e) {
            throw new UncheckedIOException("raw holds a body that is no event", e);
        }
    }
}
