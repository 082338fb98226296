// The work of `assay worker` on Kafka Streams, as one would write it there: find the trace of each feedback by an index of
// the requests topic, keep what comes too early, drop repeats inside a window, forward exactly once. Less than the worker
// does (no conflicts, changes, expiry, dead letters, ledger); its JSON is taken apart by looking for two fields.
//
//   java Resolve BROKERS PREFIX STATE_DIR THREADS WINDOW_MINUTES    0: no dedupe; prints "running" once it runs
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

public final class Resolve {
  static String field(String json, String name) {
    final String begin = "\"" + name + "\":\"";
    final int at = json.indexOf(begin);
    return at < 0 ? null : json.substring(at + begin.length(), json.indexOf('"', at + begin.length()));
  }

  static String assessment(String feedback, String trace) {
    final int items = feedback.indexOf("\"items\":[") + 9;
    final String item = feedback.substring(items, feedback.lastIndexOf(']'));
    return "{\"v\":1,\"op\":\"create\",\"assessment\":" + item.substring(0, item.length() - 1) + ",\"trace_id\":\"" + trace
        + "\"},\"accepted_at\":\"" + field(feedback, "accepted_at") + "\"}";
  }

  static final class Feedback implements Processor<String, String, String, String> {
    private final Duration window;
    private ProcessorContext<String, String> context;
    private KeyValueStore<String, ValueAndTimestamp<String>> index;
    private KeyValueStore<String, String> parked;
    private WindowStore<String, String> seen;

    Feedback(Duration window) { this.window = window; }

    @Override public void init(ProcessorContext<String, String> context) {
      this.context = context;
      index = context.getStateStore("index");
      parked = context.getStateStore("parked");
      if (!window.isZero()) seen = context.getStateStore("seen");
    }

    @Override public void process(Record<String, String> record) {
      final String id = field(record.value(), "assessment_id");
      if (seen != null) {
        try (WindowStoreIterator<String> before = seen.fetch(id, record.timestamp() - window.toMillis(), record.timestamp())) {
          if (before.hasNext()) return;
        }
        seen.put(id, "", record.timestamp());
      }
      final ValueAndTimestamp<String> trace = index.get(record.key());
      if (trace == null) {
        parked.put(record.key() + '\n' + id, record.value());
        return;
      }
      context.forward(record.withKey(trace.value()).withValue(assessment(record.value(), trace.value())));
    }
  }

  static final class Release implements Processor<String, String, String, String> {
    private ProcessorContext<String, String> context;
    private KeyValueStore<String, String> parked;

    @Override public void init(ProcessorContext<String, String> context) {
      this.context = context;
      parked = context.getStateStore("parked");
    }

    @Override public void process(Record<String, String> record) {
      if (record.value() == null || parked.approximateNumEntries() == 0) return;
      final List<String> released = new ArrayList<>();
      try (KeyValueIterator<String, String> waiting = parked.range(record.key() + '\n', record.key() + '\u000b')) {
        while (waiting.hasNext()) {
          final KeyValue<String, String> each = waiting.next();
          context.forward(record.withKey(record.value()).withValue(assessment(each.value, record.value())));
          released.add(each.key);
        }
      }
      for (final String key : released) parked.delete(key);
    }
  }

  public static void main(String[] args) throws Exception {
    final String prefix = args[1];
    final Duration window = Duration.ofMinutes(Long.parseLong(args[4]));
    final Properties config = new Properties();
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "peer");
    config.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[3]);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);  // the requests topic is the index's changelog
    config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    config.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "6000");
    config.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "1000");

    final StreamsBuilder builder = new StreamsBuilder();
    final var consumed = Consumed.with(Serdes.String(), Serdes.String());
    final var produced = Produced.with(Serdes.String(), Serdes.String());
    builder.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("parked"), Serdes.String(), Serdes.String()));
    if (!window.isZero())
      builder.addStateStore(Stores.windowStoreBuilder(
          Stores.persistentWindowStore("seen", window, window, false), Serdes.String(), Serdes.String()));
    builder.table(prefix + "requests", consumed, Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("index"))
        .toStream().process(Release::new, "index", "parked").to(prefix + "peer", produced);
    final String[] stores = window.isZero() ? new String[] {"index", "parked"} : new String[] {"index", "parked", "seen"};
    builder.stream(prefix + "feedback", consumed).process(() -> new Feedback(window), stores).to(prefix + "peer", produced);

    final KafkaStreams streams = new KafkaStreams(builder.build(config), config);
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) System.out.println("running");
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
    streams.start();
  }
}
