#include "http/stream/sse_session.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/http_stream/stream_fixture.hpp"

using namespace troupe;
using nlohmann::json;
using test::StreamFixture;

namespace {

/// One block of an event stream, as a browser reads it.
struct Event {
  std::string id = {};
  std::string type = "message";
  std::string data = {};
  std::string comment = {};
  std::string retry = {};
};

struct SseClient final : http::SseTransport {
  explicit SseClient(StreamFixture& stream_fixture)
      : fixture(stream_fixture), session(std::make_shared<http::SseSession>(fixture.env, *this)) {}
  ~SseClient() override { session->closed(); }

  void begin(const std::string& cursor) override {
    status = 200;
    start_cursor = cursor;
  }
  void refuse(const http::HttpError& error) override {
    status = static_cast<int>(error.status);
    code = error.code;
  }
  void send(http::OutMessage piece) override {
    REQUIRE_FALSE(sending);
    body += piece.text();
    sending = true;
    if (reads)
      fixture.posted.push_back([this, weak = std::weak_ptr(session)] {
        if (weak.lock()) take();
      });
  }
  void end(bool at_once) override { ended = at_once ? "at once" : "in order"; }
  void take() {
    if (std::exchange(sending, false)) session->sent();
  }

  void open(const std::string& query, const std::optional<std::string>& last_event_id = {},
            const std::string& topic = "Chat") {
    session->start(topic, query, last_event_id);
    fixture.advance(30, {session.get()});
  }
  void wait(Millis ms) {
    fixture.settle();
    fixture.advance(ms, {session.get()});
  }
  /// Blocks since the last call.
  std::vector<Event> events() {
    std::vector<Event> all;
    while (true) {
      const auto end = body.find("\n\n");
      if (end == std::string::npos) return all;
      Event event;
      for (std::size_t at = 0; at < end;) {
        const auto line_end = std::min(body.find('\n', at), end);
        const auto line = body.substr(at, line_end - at);
        at = line_end + 1;
        if (line.starts_with("id: ")) event.id = line.substr(4);
        if (line.starts_with("event: ")) event.type = line.substr(7);
        if (line.starts_with("data: ")) event.data = line.substr(6);
        if (line.starts_with("retry: ")) event.retry = line.substr(7);
        if (line.starts_with(": ")) event.comment = line.substr(2);
      }
      all.push_back(event);
      if (!event.id.empty()) last_id = event.id;
      body.erase(0, end + 2);
    }
  }
  std::vector<std::int64_t> offsets() {
    std::vector<std::int64_t> all;
    for (const auto& event : events()) {
      if (!event.data.empty() && (event.type == "message" || event.type == "delete"))
        all.push_back(json::parse(event.data)["o"]);
    }
    return all;
  }

  StreamFixture& fixture;
  std::string body;
  int status = 0;
  std::string code;
  std::string start_cursor;
  std::string last_id;
  std::string ended;
  bool reads = true;
  bool sending = false;
  std::shared_ptr<http::SseSession> session;
};

using Offsets = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("a stream begins with its cursor, retry and a comment, then events with ids", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"room-7", R"({"text":"hello"})"}, {"room-8", "x\n\nevent: pwn\ndata: y"}});
  SseClient client(fixture);
  client.open("from=earliest");
  CHECK(client.status == 200);
  CHECK(consumer::Cursor::decode(client.start_cursor)->positions.at(PartitionId{0}).next_offset == Offset{0});
  const auto events = client.events();
  REQUIRE(events.size() == 3);
  CHECK(events[0].retry == "2000");
  CHECK(events[0].comment == "connected node=1");
  CHECK(json::parse(events[1].data)["v"]["text"] == "hello");
  CHECK(events[1].id.empty());
  CHECK(json::parse(events[2].data)["v"] == "x\n\nevent: pwn\ndata: y");
  CHECK(consumer::Cursor::decode(events[2].id)->positions.at(PartitionId{0}).next_offset == Offset{2});
}

TEST_CASE("a read that failed for now is tried again, and the event stream goes on", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.broker.fail_next_fetch({Errc::leader_not_available, "not now"});
  SseClient client(fixture);
  client.open("from=earliest");
  client.wait(500);
  CHECK(client.events().size() == 2);
}

TEST_CASE("Last-Event-ID goes before last_event_id, which goes before from", "[sse]") {
  StreamFixture fixture;
  const auto topic = fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 10; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  const auto at = [&](std::int64_t offset) {
    return consumer::Cursor{topic->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{offset}}}}}.encode();
  };
  const auto given = [&](const std::string& query, const std::optional<std::string>& id) {
    SseClient client(fixture);
    client.open(query, id);
    return client.offsets();
  };
  CHECK(given("from=last:1", {}) == Offsets{9});
  CHECK(given("from=last:1&last_event_id=" + at(7), {}) == Offsets{7, 8, 9});
  CHECK(given("from=last:1&last_event_id=" + at(7), at(8)) == Offsets{8, 9});
  CHECK(given("from=offset:0:6", "") == Offsets{6, 7, 8, 9});
}

TEST_CASE("a stream that cannot be is answered with a status", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  const auto status = [&](const std::string& query, const std::optional<std::string>& id = {},
                          const std::string& topic = "Chat") {
    SseClient client(fixture);
    client.open(query, id, topic);
    CHECK(client.session->is_closed());
    return client.status;
  };
  CHECK(status("", {}, "Nope") == 404);
  CHECK(status("", {}, "__x") == 403);
  CHECK(status("from=yesterday") == 400);
  CHECK(status("from=offset:5:0") == 404);
  CHECK(status("format=xml") == 400);
  CHECK(status("slow=sample") == 400);
  CHECK(status("snapshot=all") == 400);
  CHECK(status("from=%zz") == 400);
  CHECK(status("", "not a cursor") == 400);
  CHECK(status("", std::string(3000, 'A')) == 400);
}

TEST_CASE("deletes, gaps and resets are events of their own", "[sse]") {
  StreamFixture fixture;
  const auto topic = fixture.broker.add_topic("Chat", 1);
  ProduceRequest request{.topic = topic, .records = {{.key = as_bytes("room-7")}}, .acks = Acks::leader};
  for (int i = 0; i < 5; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.broker.produce(request, {});
  fixture.broker.advance_log_start("Chat", PartitionId{0}, Offset{3});
  SseClient client(fixture);
  client.open("", consumer::Cursor{topic->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{1}}}}}.encode());
  auto events = client.events();
  REQUIRE(events.size() == 5);
  CHECK(events[1].type == "gap");
  CHECK(json::parse(events[1].data) == json{{"partitions", {{"0", {{"from", 1}, {"to", 3}}}}}, {"reason", "retention"}});
  CHECK(events[4].type == "delete");
  CHECK(json::parse(events[4].data)["k"] == "room-7");
  CHECK_FALSE(events[4].id.empty());

  SseClient other(fixture);
  other.open("", consumer::Cursor{Uuid{{9}}, {}}.encode());
  events = other.events();
  CHECK(events[1].type == "reset");
  CHECK(json::parse(events[2].data)["o"] == 3);
}

TEST_CASE("a silent stream moves its id once a second, and comments every 15 s", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  SseClient client(fixture);
  client.open("key=mine");
  client.events();
  for (int i = 0; i < 30; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"other", "1"}});
    client.wait(100);
  }
  const auto events = client.events();
  CHECK(events.size() >= 2);
  CHECK(events.size() <= 4);
  for (const auto& event : events) {
    CHECK(event.data.empty());
    CHECK_FALSE(event.id.empty());
  }
  client.wait(31'000);
  int comments = 0;
  for (const auto& event : client.events()) comments += event.comment == "ka" ? 1 : 0;
  CHECK(comments >= 1);
  CHECK(comments <= 2);
}

TEST_CASE("what a stream repeats after its last id is at most the last piece, and nothing is lost", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  auto client = std::make_unique<SseClient>(fixture);
  client->open("from=earliest");
  std::set<std::int64_t> seen;
  for (int i = 0; i < 200; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}, {"k", "2"}});
    client->wait(5);
    for (const auto offset : client->offsets()) seen.insert(offset);
    if (i % 20 == 19) {
      const auto id = client->last_id;
      client = std::make_unique<SseClient>(fixture);
      client->open("", id);
    }
  }
  client->wait(100);
  for (const auto offset : client->offsets()) seen.insert(offset);
  CHECK(seen.size() == 400);
}

TEST_CASE("a snapshot of a topic is its latest records, then live", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 20; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"d" + std::to_string(i % 4), "1"}});
  SseClient client(fixture);
  client.open("snapshot=latest_per_key&slow=conflate&max_rate=1");
  CHECK(client.offsets() == Offsets{16, 17, 18, 19});
}

TEST_CASE("a draining node ends its streams and calls them back soon", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  SseClient client(fixture);
  client.open("");
  client.events();
  client.session->drain();
  client.wait(10);
  CHECK(client.events()[0].retry == "500");
  CHECK(client.ended == "in order");
}

TEST_CASE("a stream that is not read is cut off after 30 s", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  SseClient client(fixture);
  client.open("");
  client.reads = false;
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  client.wait(29'000);
  CHECK(client.ended.empty());
  client.wait(3'000);
  CHECK(client.ended == "at once");
}

TEST_CASE("who asks to be cut off when slow, and says no more, is given ten seconds", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  SseClient client(fixture);
  client.open("slow=disconnect");
  client.reads = false;
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  client.wait(100);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "2"}});
  client.wait(9'000);
  CHECK(client.ended.empty());
  client.wait(3'000);
  CHECK(client.ended == "at once");
}

TEST_CASE("a topic that is deleted ends its streams", "[sse]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  SseClient client(fixture);
  client.open("");
  client.events();
  fixture.broker.delete_topic("Chat", {});
  client.wait(20);
  const auto events = client.events();
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == "end");
  CHECK(json::parse(events[0].data)["code"] == "unknown_topic");
  CHECK(client.ended == "in order");
}

namespace {

/// Time for the streams, for the members and for their coordinator.
void pass(SseClient& client, Millis time) {
  for (Millis left = time; left > 0; left -= 100) {
    client.fixture.broker.groups().advance(100);
    client.fixture.broker.consumers().advance(100);
    client.wait(100);
  }
}

std::vector<std::string> types(SseClient& client) {
  std::vector<std::string> all;
  for (const auto& event : client.events()) {
    if (!event.data.empty())
      all.push_back(event.type == "message" ? event.data.substr(0, event.data.find(",\"ts\"")) : event.type);
  }
  return all;
}

}  // namespace

TEST_CASE("an event stream with a group is a member of it, and commits what it has sent", "[sse][group]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}, {"k", "2"}});
  SseClient client(fixture);
  client.open("group=readers&from=earliest");
  CHECK(client.status == 200);
  pass(client, 2'000);
  CHECK(types(client) == std::vector<std::string>{"assigned", R"({"p":0,"o":0)", R"({"p":0,"o":1)"});
  CHECK(fixture.broker.groups().committed("readers", "Chat", 0) == Offset{2});
}

TEST_CASE("a browser that comes back with its last event id is the same member", "[sse][group]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  auto first = std::make_unique<SseClient>(fixture);
  first->open("group=readers&from=earliest");
  pass(*first, 200);
  (void)first->events();
  const auto id = first->last_id;
  REQUIRE(id.starts_with("s-"));
  SECTION("its stream was lost") { first.reset(); }
  SECTION("its stream seems to be there") {}
  SseClient second(fixture);
  second.open("group=readers&from=earliest", id);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  pass(second, 200);
  CHECK(types(second) == std::vector<std::string>{"assigned", R"({"p":0,"o":0)"});
  CHECK(fixture.broker.consumers().open_count() == 1);
  if (first) CHECK(first->ended == "at once");
}

TEST_CASE("what is wrong with an event stream of a group is refused", "[sse][group]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (const auto* query : {"group=a%20b", "group=g&from=last:5", "group=g&key=a", "group=g&format=xml"}) {
    SseClient client(fixture);
    client.open(query);
    CHECK(client.status == 400);
  }
  SseClient client(fixture);
  fixture.broker.consumers().fail_open(Error{Errc::overloaded, "as many as there may be"});
  client.open("group=g");
  pass(client, 200);
  CHECK(types(client) == std::vector<std::string>{"end"});
  CHECK(client.ended == "in order");
}
