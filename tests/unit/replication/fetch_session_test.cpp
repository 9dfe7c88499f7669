#include "core/replication/fetch_session.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

TopicIdPartition id(int partition) { return {TopicId{std::array<std::uint8_t, 16>{9}}, PartitionId{partition}}; }

FetchPosition at(std::int64_t offset, std::int64_t durable = -1) {
  return {.leader_epoch = LeaderEpoch{1},
          .fetch_offset = Offset{offset},
          .durable_offset = Offset{durable < 0 ? offset : durable}};
}

ReplicaAnswer records(std::int64_t offset, std::size_t bytes) {
  return {.leader_epoch = LeaderEpoch{1}, .fetch_offset = Offset{offset}, .records = Bytes::adopt(ByteBuffer(bytes))};
}

/// A fetcher on node 2 and a server on node 1, with nothing between them.
struct Pair {
  FetchSession fetcher{{.replica = BrokerId{2}, .broker_epoch = BrokerEpoch{20}, .bytes_max = 1'000}};
  FetchSessionServer server{{.first_id = FetchSessionId{70}, .sessions_max = 2, .partition_bytes_max = 400}};
  FetchServerEffects effects;
  MonotonicMs now{0};

  FetchRequest request() {
    const auto one = fetcher.next_request(now);
    REQUIRE(one);
    return *one;
  }
  void serve(const FetchRequest& one) {
    effects = {};
    server.on_request(one, now, effects);
  }
  FetchAnswer answer(FetchSessionId session, std::vector<std::pair<int, ReplicaAnswer>> given = {}) {
    for (const auto& [partition, one] : given) server.on_news(session, id(partition));
    std::size_t next = 0;
    while (const auto turn = server.next_turn(session)) {
      REQUIRE(next < given.size());
      server.put(session, turn->id, given[next++].second);
    }
    auto made = server.finish(session);
    REQUIRE(made);
    return *made;
  }
  /// Begins a session with the partitions set so far.
  FetchSessionId begin() {
    serve(request());
    const auto session = server.due(now).at(0);
    fetcher.on_answer(answer(session), now);
    return session;
  }
};

}  // namespace

TEST_CASE("a session begins with everything, and then only what changed travels", "[replication]") {
  Pair pair;
  for (int p = 0; p < 3; ++p) pair.fetcher.set(id(p), at(10));
  const auto first = pair.request();
  CHECK(first.session_id == no_fetch_session);
  CHECK(first.partitions.size() == 3);
  CHECK_FALSE(pair.fetcher.next_request(pair.now));  // what the session's id is, is not known
  pair.serve(first);
  REQUIRE(pair.effects.statements.size() == 3);
  CHECK(pair.effects.statements[1].fetch.replica == BrokerId{2});
  CHECK(pair.effects.statements[1].fetch.position == at(10));
  CHECK(pair.effects.statements[1].fetch.again);
  CHECK(pair.server.due(pair.now) == std::vector<FetchSessionId>{FetchSessionId{70}});
  pair.fetcher.on_answer(pair.answer(FetchSessionId{70}), pair.now);
  CHECK(pair.fetcher.session_id() == FetchSessionId{70});

  const auto second = pair.request();
  CHECK(second.session_epoch == 1);
  CHECK(second.partitions.empty());
  pair.serve(second);
  CHECK(pair.effects.statements.empty());
  CHECK(pair.server.due(pair.now).empty());  // it waits for news

  pair.fetcher.set(id(1), at(15));
  const auto third = pair.request();  // does not wait for the second's answer
  CHECK(third.partitions == std::vector<FetchRequest::Partition>{{id(1), at(15), false}});
  CHECK_FALSE(pair.fetcher.next_request(pair.now));
  pair.serve(third);
  CHECK(pair.server.due(pair.now).size() == 1);  // the second is released
  const auto released = pair.answer(FetchSessionId{70});
  CHECK(released.number == second.number);
  CHECK(released.partitions.empty());
  CHECK(pair.fetcher.on_answer(released, pair.now).empty());
  CHECK(pair.server.due(pair.now).empty());
}

TEST_CASE("news is answered at once, silence when the wait is over", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(10));
  const auto session = pair.begin();
  pair.serve(pair.request());
  CHECK(pair.server.next_deadline() == MonotonicMs{500});
  pair.server.on_news(BrokerId{2}, id(0));
  pair.server.on_news(BrokerId{2}, id(0));
  pair.server.on_news(BrokerId{3}, id(0));
  pair.server.on_news(session, id(8));  // not in the session
  const auto heard = pair.fetcher.on_answer(pair.answer(session, {{0, records(10, 100)}}), pair.now);
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].id == id(0));

  pair.serve(pair.request());
  pair.now = MonotonicMs{499};
  CHECK(pair.server.due(pair.now).empty());
  pair.now = MonotonicMs{500};
  CHECK(pair.server.due(pair.now).size() == 1);
  CHECK(pair.answer(session).partitions.empty());
}

TEST_CASE("an answer is bounded, and who was served stands at the end", "[replication]") {
  Pair pair;
  for (int p = 0; p < 4; ++p) pair.fetcher.set(id(p), at(0));
  const auto session = pair.begin();
  pair.serve(pair.request());
  for (int p = 0; p < 4; ++p) pair.server.on_news(session, id(p));
  std::vector<int> served;
  while (const auto turn = pair.server.next_turn(session)) {
    served.push_back(turn->id.partition.value());
    CHECK(turn->bytes_max == (served.size() < 3 ? 400 : 200));  // 1,000 in all, at most 400 each
    pair.server.put(session, turn->id, records(0, turn->bytes_max));
  }
  CHECK(served == std::vector<int>{0, 1, 2});
  auto answer = pair.server.finish(session);
  std::size_t bytes = 0;
  for (const auto& one : answer->partitions) bytes += one.answer.records.size();
  CHECK(bytes == 1'000);
  for (const auto& one : pair.fetcher.on_answer(*answer, pair.now)) pair.fetcher.set(one.id, at(5));
  pair.serve(pair.request());
  for (int p = 0; p < 3; ++p) pair.server.on_news(session, id(p));  // busy ones have news again
  CHECK(pair.server.next_turn(session)->id == id(3));
  CHECK(pair.server.next_turn(session)->id == id(0));
}

TEST_CASE("a batch larger than the whole bound is given alone", "[replication]") {
  Pair pair;
  for (int p = 0; p < 2; ++p) pair.fetcher.set(id(p), at(0));
  const auto session = pair.begin();
  pair.serve(pair.request());
  for (int p = 0; p < 2; ++p) pair.server.on_news(session, id(p));
  const auto turn = pair.server.next_turn(session);
  pair.server.put(session, turn->id, records(0, 5'000));
  CHECK_FALSE(pair.server.next_turn(session));
  CHECK(pair.server.finish(session)->partitions.size() == 1);
}

TEST_CASE("a turn that is still being read is waited for", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(0));
  const auto session = pair.begin();
  pair.serve(pair.request());
  pair.server.on_news(session, id(0));
  CHECK(pair.server.next_turn(session));
  CHECK_FALSE(pair.server.finish(session));
  pair.server.put(session, id(5), records(0, 1));  // nobody's turn
  pair.server.put(session, id(0), records(0, 1));
  CHECK(pair.server.finish(session)->partitions.size() == 1);
}

TEST_CASE("a turn that is passed keeps nobody waiting, and comes again with news", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(0));
  pair.fetcher.set(id(1), at(0));
  const auto session = pair.begin();
  pair.serve(pair.request());
  pair.server.on_news(session, id(0));
  REQUIRE(pair.server.next_turn(session));
  CHECK(pair.server.turns_open(session) == 1);
  pair.server.pass(session, id(0));
  CHECK(pair.server.turns_open(session) == 0);
  CHECK(pair.server.due(pair.now).empty());  // there is nothing to answer with
  pair.server.on_news(session, id(1));
  REQUIRE(pair.server.next_turn(session)->id == id(1));
  pair.server.put(session, id(1), records(0, 1));
  CHECK(pair.server.due(pair.now).size() == 1);
  const auto answer = pair.server.finish(session);
  REQUIRE(answer->partitions.size() == 1);
  CHECK(answer->partitions[0].id == id(1));
  pair.fetcher.on_answer(*answer, pair.now);
  pair.serve(pair.request());
  pair.server.on_news(session, id(0));
  const auto turn = pair.server.next_turn(session);
  REQUIRE(turn);
  CHECK(turn->id == id(0));
  CHECK(turn->bytes_max == 400);  // the room of the passed turn is free again
}

TEST_CASE("requests out of order, repeated, or of unknown sessions are refused, and a new session begins", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(10));
  const auto session = pair.begin();
  const auto first = pair.request();
  pair.serve(first);
  pair.serve(first);
  REQUIRE(pair.effects.refusals.size() == 1);
  CHECK(pair.effects.refusals[0].error == Errc::invalid_fetch_session_epoch);
  CHECK(pair.effects.statements.empty());
  CHECK(pair.fetcher.on_answer(pair.effects.refusals[0], pair.now).empty());
  CHECK(pair.fetcher.session_id() == no_fetch_session);
  CHECK_FALSE(pair.fetcher.next_request(pair.now));  // after a while
  CHECK(pair.fetcher.next_deadline() == MonotonicMs{50});
  pair.now = MonotonicMs{50};
  const auto anew = pair.request();
  CHECK(anew.session_epoch == 0);
  CHECK(anew.partitions == std::vector<FetchRequest::Partition>{{id(0), at(10), true}});
  pair.serve(anew);
  CHECK(pair.effects.ended == std::vector<FetchSessionId>{session});
  CHECK(pair.server.sessions() == 1);

  auto unknown = first;
  unknown.session_id = FetchSessionId{5};
  pair.serve(unknown);
  CHECK(pair.effects.refusals.at(0).error == Errc::fetch_session_id_not_found);
  auto stranger = first;
  stranger.session_id = FetchSessionId{71};
  stranger.replica = BrokerId{3};
  pair.serve(stranger);
  CHECK(pair.effects.refusals.at(0).error == Errc::fetch_session_id_not_found);
}

TEST_CASE("a begin of an earlier run of the node does not end the session of this one", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(10));
  const auto begin = pair.request();
  pair.serve(begin);
  auto earlier = begin;
  earlier.broker_epoch = BrokerEpoch{19};
  pair.serve(earlier);
  CHECK(pair.effects.refusals.at(0).error == Errc::stale_broker_epoch);
  CHECK(pair.effects.ended.empty());
}

TEST_CASE("an answer to a request that was given up says nothing about the session as it is now", "[replication]") {
  // The first begin is late; the second is lost; the answer to the first must not be taken for one to the second.
  Pair pair;
  pair.fetcher.set(id(0), at(10));
  const auto late = pair.request();
  pair.fetcher.on_closed(pair.now);
  pair.fetcher.set(id(0), at(20));
  pair.now = MonotonicMs{100};
  const auto lost = pair.request();
  CHECK(lost.number != late.number);
  pair.serve(late);
  CHECK(pair.fetcher.on_answer(pair.answer(FetchSessionId{70}), pair.now).empty());
  CHECK(pair.fetcher.session_id() == no_fetch_session);
  pair.now = MonotonicMs{100 + 2'500};
  pair.fetcher.on_deadline(pair.now);
  pair.now = pair.now + 50;
  CHECK(pair.request().partitions.at(0).position == at(20));
}

TEST_CASE("an answer that overtook another one ends the session: what the other gave is unknown", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(10));
  const auto session = pair.begin();
  pair.serve(pair.request());
  pair.fetcher.set(id(0), at(11));
  pair.serve(pair.request());
  const auto first = pair.answer(session);
  const auto second = pair.answer(session, {{0, records(11, 10)}});
  CHECK(pair.fetcher.on_answer(second, pair.now).empty());
  CHECK(pair.fetcher.on_answer(first, pair.now).empty());
  CHECK(pair.fetcher.session_id() == no_fetch_session);
}

TEST_CASE("records that were not kept are asked for again, others are not", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(10, 5));
  const auto session = pair.begin();
  pair.fetcher.set(id(0), at(10, 8));  // only more durable: no answer has come in between
  auto one = pair.request();
  CHECK_FALSE(one.partitions.at(0).again);
  pair.serve(one);
  pair.fetcher.on_answer(pair.answer(session, {{0, records(10, 10)}}), pair.now);
  pair.fetcher.set(id(0), at(10, 10));  // the disk was full
  one = pair.request();
  CHECK(one.partitions.at(0).again);
}

TEST_CASE("removed partitions are forgotten on the other side, paused ones keep their place", "[replication]") {
  Pair pair;
  for (int p = 0; p < 3; ++p) pair.fetcher.set(id(p), at(0));
  const auto session = pair.begin();
  pair.fetcher.remove(id(0));
  pair.fetcher.set(id(1), at(4));
  pair.fetcher.pause(id(1));
  pair.fetcher.remove(id(7));
  const auto request = pair.request();
  CHECK(request.forgotten == std::vector<TopicIdPartition>{id(0)});
  CHECK(request.partitions.empty());
  pair.server.on_news(session, id(0));
  pair.serve(request);
  pair.server.on_news(session, id(1));
  CHECK(pair.server.next_turn(session)->id == id(1));
  CHECK_FALSE(pair.server.next_turn(session));
}

TEST_CASE("a removed partition that comes back is as new", "[replication]") {
  Pair pair;
  pair.fetcher.set(id(0), at(3));
  pair.begin();
  pair.fetcher.remove(id(0));
  pair.fetcher.set(id(0), at(3));
  const auto request = pair.request();
  CHECK(request.forgotten.size() == 1);
  CHECK(request.partitions.at(0).again);
  pair.serve(request);
  CHECK(pair.effects.statements.size() == 1);
}

TEST_CASE("requests are bounded in statements, the rest follows", "[replication]") {
  FetchSession fetcher({.replica = BrokerId{2}, .broker_epoch = BrokerEpoch{20}, .statements_max = 2});
  FetchSessionServer server({});
  for (int p = 0; p < 5; ++p) fetcher.set(id(p), at(p));
  FetchServerEffects effects;
  std::size_t statements = 0;
  for (int round = 0; round < 3; ++round) {
    const auto request = fetcher.next_request(MonotonicMs{0});
    REQUIRE(request);
    CHECK(request->partitions.size() <= 2);
    server.on_request(*request, MonotonicMs{0}, effects);
    statements = effects.statements.size();
    const auto answer = server.finish(FetchSessionId{1});
    REQUIRE(answer);
    fetcher.on_answer(*answer, MonotonicMs{0});
  }
  CHECK(statements == 5);
}

TEST_CASE("the session that was silent longest makes room for a new one", "[replication]") {
  FetchSessionServer server({.sessions_max = 2});
  FetchServerEffects effects;
  const auto begin = [&](int replica) {
    effects = {};
    server.on_request({.replica = BrokerId{replica}, .broker_epoch = BrokerEpoch{1}, .partitions = {{id(0), at(0)}}},
                      MonotonicMs{0}, effects);
  };
  begin(2);
  begin(3);
  server.finish(FetchSessionId{1});
  effects = {};
  server.on_request(
      {.replica = BrokerId{2}, .broker_epoch = BrokerEpoch{1}, .session_id = FetchSessionId{1}, .session_epoch = 1},
      MonotonicMs{0}, effects);
  CHECK(effects.refusals.empty());
  begin(4);
  CHECK(effects.ended == std::vector<FetchSessionId>{FetchSessionId{2}});
  CHECK(server.sessions() == 2);
  CHECK(server.replica_of(FetchSessionId{1}) == BrokerId{2});
  server.on_closed(BrokerId{2});
  CHECK(server.sessions() == 1);
  CHECK_FALSE(server.finish(FetchSessionId{1}));
}

TEST_CASE("a session holds a bounded number of partitions", "[replication]") {
  FetchSessionServer server({.partitions_max = 2});
  FetchServerEffects effects;
  server.on_request({.replica = BrokerId{2},
                     .broker_epoch = BrokerEpoch{1},
                     .partitions = {{id(0), at(0)}, {id(1), at(0)}, {id(2), at(0)}}},
                    MonotonicMs{0}, effects);
  CHECK(effects.refusals.at(0).error == Errc::overloaded);
  CHECK(server.sessions() == 0);
}
