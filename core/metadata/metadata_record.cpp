#include "core/metadata/metadata_record.hpp"

#include <array>

#include "base/byte_codec.hpp"

namespace troupe::metadata {
namespace {

constexpr std::uint8_t version = 1;           ///< of the fixed fields of every type
constexpr std::uint8_t tag_broker_epoch = 1;  ///< of broker_registered

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
  if (!record.broker_epoch) return;
  out.integer(tag_broker_epoch);
  out.integer(static_cast<std::uint16_t>(sizeof(std::int64_t)));
  out.integer(record.broker_epoch->value());
}

void put(ByteWriter& out, const FeatureLevelRecord& record) {
  put_head(out, MetadataRecordType::feature_level);
  put(out, record.name);
  out.integer(record.level);
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
    if (tag != tag_broker_epoch) return;
    record.broker_epoch = Offset{content.integer<std::int64_t>()};
    if (*record.broker_epoch < Offset{0}) content.refuse("a negative broker epoch");
  });
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
    default:
      return Error{Errc::invalid_record,
                   "metadata record of type " + std::to_string(type) + ": a newer version of this program wrote it"};
  }
  in.optional_fields([](std::uint8_t, Fields&) {});
  if (in.failed()) return in.error(type);
  return record;
}

}  // namespace troupe::metadata
