#include "core/metadata/metadata_record.hpp"

#include <array>

#include "base/byte_codec.hpp"

namespace troupe::metadata {
namespace {

constexpr std::uint8_t version = 1;  ///< of the fixed fields of every type

// Optional fields of broker_registered. Part of the format, like the flags: never renumber.
constexpr std::uint8_t tag_broker_epoch = 1;
constexpr std::uint8_t tag_cluster_address = 2;
constexpr std::uint8_t tag_rack = 3;
constexpr std::uint8_t tag_flags = 4;
constexpr std::uint8_t tag_directory = 5;  // of a broker

// Optional fields of partition.
constexpr std::uint8_t tag_partition_epoch = 1;
constexpr std::uint8_t tag_eligible_leader_replicas = 2;
constexpr std::uint8_t tag_adding_replicas = 3;
constexpr std::uint8_t tag_removing_replicas = 4;
constexpr std::uint8_t tag_last_known_leader = 5;
constexpr std::uint8_t tag_replicas_before = 6;

// What a broker may do, as bits.
constexpr std::uint8_t flag_fenced = 1;
constexpr std::uint8_t flag_draining = 2;
constexpr std::uint8_t flag_stopping = 4;

// --- writing

void put(ByteWriter& out, const Uuid& uuid) { out.bytes(std::as_bytes(std::span{uuid.bytes()})); }

void put(ByteWriter& out, std::string_view text) {
  TROUPE_ASSERT(text.size() <= metadata_string_bytes_max);
  out.integer(static_cast<std::uint16_t>(text.size()));
  out.bytes(as_bytes(text));
}

void put(ByteWriter& out, const std::vector<BrokerId>& brokers) {
  TROUPE_ASSERT(brokers.size() <= UINT16_MAX);
  out.integer(static_cast<std::uint16_t>(brokers.size()));
  for (const auto broker : brokers) out.integer(broker.value());
}

void put_head(ByteWriter& out, MetadataRecordType type) {
  out.integer(static_cast<std::uint8_t>(type));
  out.integer(version);
}

/// An optional field whose content `write(ByteWriter&)` gives.
template <class Write>
void put_optional(ByteWriter& out, std::uint8_t tag, Write write) {
  ByteBuffer content;
  ByteWriter inner{content};
  write(inner);
  out.integer(tag);
  out.integer(static_cast<std::uint16_t>(content.size()));
  out.bytes(content);
}

/// Its size takes 16 bits: some 16,000 brokers.
void put_optional(ByteWriter& out, std::uint8_t tag, const std::vector<BrokerId>& brokers) {
  if (brokers.empty()) return;
  TROUPE_ASSERT(brokers.size() <= (UINT16_MAX - 2) / 4);
  put_optional(out, tag, [&](ByteWriter& inner) { put(inner, brokers); });
}

template <class Record>
std::uint8_t flags_of(const Record& record) {
  return static_cast<std::uint8_t>((record.fenced ? flag_fenced : 0) | (record.draining ? flag_draining : 0) |
                                   (record.stopping ? flag_stopping : 0));
}

template <class Record>
void set_flags(Record& record, std::uint8_t flags) {
  record.fenced = (flags & flag_fenced) != 0;
  record.draining = (flags & flag_draining) != 0;
  record.stopping = (flags & flag_stopping) != 0;
}

void put(ByteWriter& out, const ClusterRecord& record) {
  put_head(out, MetadataRecordType::cluster);
  put(out, record.cluster_id);
}

void put(ByteWriter& out, const TopicRecord& record) {
  put_head(out, MetadataRecordType::topic);
  put(out, record.id);
  put(out, record.name);
}

void put(ByteWriter& out, const PartitionRecord& record) {
  put_head(out, MetadataRecordType::partition);
  put(out, record.topic_id);
  out.integer(record.partition.value());
  out.integer(record.leader.value());
  out.integer(record.leader_epoch.value());
  put(out, record.replicas);
  put(out, record.isr);
  if (record.partition_epoch != PartitionEpoch{0}) {
    put_optional(out, tag_partition_epoch, [&](ByteWriter& inner) { inner.integer(record.partition_epoch.value()); });
  }
  put_optional(out, tag_eligible_leader_replicas, record.eligible_leader_replicas);
  put_optional(out, tag_adding_replicas, record.adding_replicas);
  put_optional(out, tag_removing_replicas, record.removing_replicas);
  if (record.last_known_leader != no_broker) {
    put_optional(out, tag_last_known_leader, [&](ByteWriter& inner) { inner.integer(record.last_known_leader.value()); });
  }
  put_optional(out, tag_replicas_before, record.replicas_before);
}

void put(ByteWriter& out, const TopicConfigRecord& record) {
  put_head(out, MetadataRecordType::topic_config);
  put(out, record.topic_id);
  put(out, record.name);
  out.integer(static_cast<std::uint8_t>(record.value ? 1 : 0));
  if (record.value) put(out, *record.value);
}

void put(ByteWriter& out, const TopicRemovedRecord& record) {
  put_head(out, MetadataRecordType::topic_removed);
  put(out, record.id);
}

void put(ByteWriter& out, const BrokerRegisteredRecord& record) {
  put_head(out, MetadataRecordType::broker_registered);
  out.integer(record.id.value());
  put(out, record.incarnation);
  put(out, record.host);
  out.integer(record.port);
  if (record.broker_epoch) {
    put_optional(out, tag_broker_epoch, [&](ByteWriter& inner) { inner.integer(record.broker_epoch->value()); });
  }
  if (!record.cluster_host.empty() || record.cluster_port != 0) {
    put_optional(out, tag_cluster_address, [&](ByteWriter& inner) {
      put(inner, record.cluster_host);
      inner.integer(record.cluster_port);
    });
  }
  if (!record.rack.empty()) put_optional(out, tag_rack, [&](ByteWriter& inner) { put(inner, record.rack); });
  if (const auto flags = flags_of(record); flags != 0) {
    put_optional(out, tag_flags, [&](ByteWriter& inner) { inner.integer(flags); });
  }
  if (!record.directory_id.is_nil()) {
    put_optional(out, tag_directory, [&](ByteWriter& inner) { put(inner, record.directory_id); });
  }
}

void put(ByteWriter& out, const FeatureLevelRecord& record) {
  put_head(out, MetadataRecordType::feature_level);
  put(out, record.name);
  out.integer(record.level);
}

void put(ByteWriter& out, const BrokerStateRecord& record) {
  put_head(out, MetadataRecordType::broker_state);
  out.integer(record.id.value());
  out.integer(record.broker_epoch.value());
  out.integer(flags_of(record));
}

void put(ByteWriter& out, const BrokerUnregisteredRecord& record) {
  put_head(out, MetadataRecordType::broker_unregistered);
  out.integer(record.id.value());
  out.integer(record.broker_epoch.value());
}

// --- reading: what is wrong shows at the end, in the reader's `failed()` or in `wrong_`

class Fields {
 public:
  explicit Fields(ByteView bytes) : in_(bytes) {}

  template <class Int>
  Int integer() {
    return in_.integer<Int>().value_or(Int{});
  }

  /// At least `lowest`.
  std::int32_t number(std::int32_t lowest, const char* what) {
    const auto value = integer<std::int32_t>();
    if (value < lowest) wrong_ = what;
    return value;
  }

  Offset broker_epoch() {
    const auto value = integer<std::int64_t>();
    if (value < 0) wrong_ = "a negative broker epoch";
    return Offset{value};
  }

  Uuid uuid() {
    std::array<std::uint8_t, 16> bytes{};
    if (const auto view = in_.bytes(bytes.size())) std::memcpy(bytes.data(), view->data(), bytes.size());
    return Uuid{bytes};
  }

  std::string text() {
    const auto size = integer<std::uint16_t>();
    if (size > metadata_string_bytes_max) wrong_ = "a string that is too long";
    const auto view = in_.bytes(size);
    return view ? std::string(as_text(*view)) : std::string{};
  }

  std::vector<BrokerId> brokers() {
    const auto count = integer<std::uint16_t>();
    std::vector<BrokerId> all;
    for (std::size_t i = 0; i < count && !in_.failed(); ++i) all.emplace_back(number(0, "a negative broker id"));
    return all;
  }

  /// The optional fields, which fill the rest: calls `take(tag, Fields& content)`; what it does not read is passed over.
  template <class Take>
  void optional_fields(Take take) {
    while (in_.remaining() > 0 && !failed()) {
      const auto tag = integer<std::uint8_t>();
      const auto size = integer<std::uint16_t>();
      const auto content = in_.bytes(size);
      if (!content) break;
      Fields inner{*content};
      take(tag, inner);
      if (inner.failed()) wrong_ = "a malformed optional field";
    }
  }

  bool failed() const { return in_.failed() || wrong_ != nullptr; }
  Error error(std::uint8_t type) const {
    return {Errc::corrupt_message, "metadata record of type " + std::to_string(type) + ": " +
                                       (wrong_ != nullptr ? wrong_ : "it ends before its last field")};
  }
  void refuse(const char* what) { wrong_ = what; }

 private:
  ByteReader in_;
  const char* wrong_ = nullptr;
};

PartitionRecord read_partition(Fields& in) {
  PartitionRecord record;
  record.topic_id = in.uuid();
  record.partition = PartitionId{in.number(0, "a negative partition")};
  record.leader = BrokerId{in.number(-1, "a leader below -1")};
  record.leader_epoch = LeaderEpoch{in.number(0, "a negative leader epoch")};
  record.replicas = in.brokers();
  record.isr = in.brokers();
  in.optional_fields([&](std::uint8_t tag, Fields& content) {
    switch (tag) {
      case tag_partition_epoch:
        record.partition_epoch = PartitionEpoch{content.number(0, "a negative partition epoch")};
        break;
      case tag_eligible_leader_replicas: record.eligible_leader_replicas = content.brokers(); break;
      case tag_adding_replicas: record.adding_replicas = content.brokers(); break;
      case tag_removing_replicas: record.removing_replicas = content.brokers(); break;
      case tag_last_known_leader: record.last_known_leader = BrokerId{content.number(-1, "a leader below -1")}; break;
      case tag_replicas_before: record.replicas_before = content.brokers(); break;
      default: break;
    }
  });
  return record;
}

TopicConfigRecord read_topic_config(Fields& in) {
  TopicConfigRecord record;
  record.topic_id = in.uuid();
  record.name = in.text();
  const auto has_value = in.integer<std::uint8_t>();
  if (has_value > 1) in.refuse("neither a value nor none");
  if (has_value == 1) record.value = in.text();
  return record;
}

BrokerRegisteredRecord read_broker(Fields& in) {
  BrokerRegisteredRecord record;
  record.id = BrokerId{in.number(0, "a negative broker id")};
  record.incarnation = in.uuid();
  record.host = in.text();
  record.port = in.integer<std::uint16_t>();
  in.optional_fields([&](std::uint8_t tag, Fields& content) {
    switch (tag) {
      case tag_broker_epoch: record.broker_epoch = content.broker_epoch(); break;
      case tag_cluster_address:
        record.cluster_host = content.text();
        record.cluster_port = content.integer<std::uint16_t>();
        break;
      case tag_rack: record.rack = content.text(); break;
      case tag_flags: set_flags(record, content.integer<std::uint8_t>()); break;
      case tag_directory: record.directory_id = content.uuid(); break;
      default: break;
    }
  });
  return record;
}

BrokerStateRecord read_broker_state(Fields& in) {
  BrokerStateRecord record;
  record.id = BrokerId{in.number(0, "a negative broker id")};
  record.broker_epoch = in.broker_epoch();
  set_flags(record, in.integer<std::uint8_t>());
  return record;
}

}  // namespace

ByteBuffer encode_metadata_record(const MetadataRecord& record) {
  ByteBuffer buffer;
  buffer.reserve(64);
  ByteWriter out{buffer};
  std::visit([&](const auto& one) { put(out, one); }, record);
  return buffer;
}

Result<MetadataRecord> decode_metadata_record(ByteView value) {
  Fields in{value};
  const auto type = in.integer<std::uint8_t>();
  const auto written_version = in.integer<std::uint8_t>();
  if (in.failed()) return Error{Errc::corrupt_message, "metadata record of " + std::to_string(value.size()) + " bytes"};
  if (written_version != version) {
    return Error{Errc::invalid_record, "metadata record of type " + std::to_string(type) + ", version " +
                                           std::to_string(written_version) + ": a newer version of this program wrote it"};
  }
  MetadataRecord record;
  switch (static_cast<MetadataRecordType>(type)) {
    case MetadataRecordType::cluster: record = ClusterRecord{in.uuid()}; break;
    case MetadataRecordType::topic: {
      const auto id = in.uuid();
      record = TopicRecord{id, in.text()};
      break;
    }
    case MetadataRecordType::partition: record = read_partition(in); break;
    case MetadataRecordType::topic_config: record = read_topic_config(in); break;
    case MetadataRecordType::topic_removed: record = TopicRemovedRecord{in.uuid()}; break;
    case MetadataRecordType::broker_registered: record = read_broker(in); break;
    case MetadataRecordType::feature_level: {
      auto name = in.text();
      record = FeatureLevelRecord{std::move(name), in.integer<std::int16_t>()};
      break;
    }
    case MetadataRecordType::broker_state: record = read_broker_state(in); break;
    case MetadataRecordType::broker_unregistered: {
      const auto id = BrokerId{in.number(0, "a negative broker id")};
      record = BrokerUnregisteredRecord{id, in.broker_epoch()};
      break;
    }
    default:
      return Error{Errc::invalid_record,
                   "metadata record of type " + std::to_string(type) + ": a newer version of this program wrote it"};
  }
  in.optional_fields([](std::uint8_t, Fields&) {});
  if (in.failed()) return in.error(type);
  return record;
}

}  // namespace troupe::metadata
