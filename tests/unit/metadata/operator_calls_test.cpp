#include "core/operation/operator_calls.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::operation;

namespace {

template <class Decode>
void refuses_what_is_cut_or_longer(ByteBuffer bytes, Decode decode) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode(ByteView{bytes}.first(size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == Errc::corrupt_message);
  }
  bytes.push_back(std::byte{0});
  CHECK_FALSE(decode(ByteView{bytes}));
  bytes.pop_back();
  bytes.front() = std::byte{9};  // a version of tomorrow
  CHECK_FALSE(decode(ByteView{bytes}));
}

QuorumCall read_back(const quorum::QuorumRequest& request) {
  const auto bytes = encode_call(QuorumCall{request, 1'234});
  refuses_what_is_cut_or_longer(bytes, decode_call);
  const auto read = decode_call(bytes);
  REQUIRE(read);
  REQUIRE(std::holds_alternative<QuorumCall>(*read));
  return std::get<QuorumCall>(*read);
}

}  // namespace

TEST_CASE("a question to another node comes out as it went in", "[operator_calls]") {
  CHECK(read_back(quorum::DescribeQuorum{}).request.index() == 0);
  CHECK(read_back(quorum::DescribeQuorum{}).timeout_ms == 1'234);
  CHECK(std::get<quorum::AddVoter>(read_back(quorum::AddVoter{BrokerId{4}}).request).broker == BrokerId{4});
  CHECK(std::get<quorum::RemoveVoter>(read_back(quorum::RemoveVoter{BrokerId{5}}).request).broker == BrokerId{5});
  CHECK(std::get<quorum::TransferLeadership>(read_back(quorum::TransferLeadership{}).request).to == BrokerId{-1});
  const auto tree = decode_call(encode_call(TreeCall{}));
  REQUIRE(tree);
  CHECK(std::holds_alternative<TreeCall>(*tree));
  CHECK_FALSE(decode_call(encode_call(QuorumCall{quorum::AddVoter{BrokerId{-1}}, 1})));
  CHECK_FALSE(decode_call(encode_call(QuorumCall{quorum::DescribeQuorum{}, -1})));
  for (const std::uint8_t unknown : {std::uint8_t{3}, std::uint8_t{255}}) {
    auto bytes = encode_call(TreeCall{});
    bytes[1] = std::byte{unknown};
    CHECK_FALSE(decode_call(bytes));
  }
}

TEST_CASE("a report of the quorum comes out as it went in", "[operator_calls]") {
  const quorum::QuorumReport report{
      .reporter = BrokerId{2},
      .leader = BrokerId{2},
      .epoch = LeaderEpoch{7},
      .high_watermark = Offset{90},
      .log_end = Offset{95},
      .voters = {{.key = {BrokerId{1}, Uuid{{1}}}, .near = true, .log_end = Offset{91}, .last_contact_ms = 12},
                 {.key = {BrokerId{2}, Uuid{{2}}}, .near = true, .log_end = Offset{95}}},
      .observers = {{.key = {BrokerId{4}, Uuid{{4}}}}}};
  const auto bytes = encode_report(report);
  const auto read = decode_report(bytes);
  REQUIRE(read);
  CHECK(*read == report);
  CHECK(read->leads());
  refuses_what_is_cut_or_longer(bytes, decode_report);
}

TEST_CASE("where the brokers are comes out as it went in", "[operator_calls]") {
  const auto asked = decode_call(encode_call(BrokersCall{}));
  REQUIRE(asked);
  CHECK(std::holds_alternative<BrokersCall>(*asked));
  const std::vector<metadata::BrokerImage> brokers{
      {.id = BrokerId{1}, .host = "a", .port = 8080, .cluster_host = "node-1", .cluster_port = 9071},
      {.id = BrokerId{2}, .host = "b", .port = 8080}};  // it speaks to no other node
  const auto bytes = encode_brokers(brokers);
  const auto read = decode_brokers(bytes);
  REQUIRE(read);
  REQUIRE(read->size() == 1);
  CHECK((*read)[0].id == BrokerId{1});
  CHECK((*read)[0].cluster_host == "node-1");
  CHECK((*read)[0].cluster_port == 9071);
  refuses_what_is_cut_or_longer(bytes, decode_brokers);
}

TEST_CASE("the actors of a node come out as they went in", "[operator_calls]") {
  const std::vector<ActorInfo> tree{{.kind = "supervisor", .name = "node", .state = "running"},
                                    {.kind = "gateway",
                                     .name = "gateway-0",
                                     .parent = "node",
                                     .state = "running",
                                     .mailbox_depth = 3,
                                     .messages_handled = 70,
                                     .busy_ms = 5,
                                     .restarts = 1,
                                     .last_error = std::string(10'000, 'e')}};
  const auto bytes = encode_tree(tree);
  const auto read = decode_tree(bytes);
  REQUIRE(read);
  REQUIRE(read->size() == 2);
  CHECK((*read)[0].name == "node");
  CHECK_FALSE((*read)[0].busy_ms);
  CHECK_FALSE((*read)[0].last_error);
  CHECK((*read)[1].parent == "node");
  CHECK((*read)[1].mailbox_depth == 3);
  CHECK((*read)[1].messages_handled == 70);
  CHECK((*read)[1].busy_ms == Millis{5});
  CHECK((*read)[1].restarts == 1);
  CHECK((*read)[1].last_error == std::string(4'096, 'e'));
  refuses_what_is_cut_or_longer(encode_tree({{.kind = "a", .name = "b", .last_error = "c"}}), decode_tree);
}
