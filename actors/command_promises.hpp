#pragma once

#include <memory>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>

#include <caf/typed_response_promise.hpp>

#include "actors/errors.hpp"
#include "actors/metadata_messages.hpp"
#include "core/metadata/metadata_machine.hpp"

namespace troupe::actors {

/// Who waits for the end of a command that was given to a MetadataMachine, by the command's token.
class CommandPromises {
 public:
  template <class Answer>
  void add(std::uint64_t token, const caf::typed_response_promise<Answer>& promise) {
    promises_.emplace(token, promise);
  }

  void answer(std::uint64_t token, Result<metadata::MetadataAnswer> answer) {
    const auto at = promises_.find(token);
    if (at == promises_.end()) return;
    deliver(at->second, std::move(answer));
    promises_.erase(at);
  }
  void answer_all(const Error& error) {
    for (auto& [token, promise] : std::exchange(promises_, {})) deliver(promise, error);
  }

 private:
  using TopicPromise = caf::typed_response_promise<TopicAnswer>;
  using DonePromise = caf::typed_response_promise<Done>;
  using ClusterPromise = caf::typed_response_promise<ClusterChanged>;
  using Promise = std::variant<TopicPromise, DonePromise, ClusterPromise>;

  static void deliver(Promise& promise, Result<metadata::MetadataAnswer> answer) {
    std::visit(
        [&](auto& one) {
          using One = std::decay_t<decltype(one)>;
          if (!answer) {
            one.deliver(to_caf_error(answer.error()));
          } else if constexpr (std::is_same_v<One, TopicPromise>) {
            one.deliver(TopicAnswer{std::move(answer->topic)});
          } else if constexpr (std::is_same_v<One, ClusterPromise>) {
            auto* changed = std::get_if<metadata::ClusterAnswer>(&answer->result);
            auto said = changed != nullptr ? std::move(*changed) : metadata::ClusterAnswer{};
            one.deliver(ClusterChanged{std::make_shared<const metadata::ClusterAnswer>(std::move(said))});
          } else {
            one.deliver(Done{});
          }
        },
        promise);
  }

  std::unordered_map<std::uint64_t, Promise> promises_;
};

}  // namespace troupe::actors
