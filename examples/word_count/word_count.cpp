// Counts the words of the topic `lines` into the topic `words`: key = word, value = how often it was seen so far.
//
//   word_count --data-dir /tmp/words &
//   curl --json '{"name":"lines"}' http://127.0.0.1:8080/v1/topics
//   curl --json '{"records":[{"value":"to be or not to be"}]}' http://127.0.0.1:8080/v1/topics/lines/records
//   curl http://127.0.0.1:8080/v1/topics/words/records
//   curl http://127.0.0.1:8080/v1/cluster/tree          # processor_host word-count/lines/0: restarts, last error
#include <atomic>
#include <cctype>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime/embedded.hpp"

using namespace troupe::processing;

class WordCount : public Processor {
 public:
  explicit WordCount(std::shared_ptr<std::atomic<bool>> poisoned) : poisoned_(std::move(poisoned)) {}

  void process(const InputRecord& line, Output& output) override {
    // A line of JSON text comes in quotes; anything but letters parts words anyway.
    std::string word;
    for (const char letter : std::string(line.value.value_or("")) + ' ') {
      if (std::isalpha(static_cast<unsigned char>(letter)) != 0) {
        word += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
      } else if (!word.empty()) {
        if (word == "poison" && !poisoned_->exchange(true)) throw std::runtime_error("there was poison in the line");
        const auto count = ++counts_[word];
        output.send("words", word, std::to_string(count));
        word.clear();
      }
    }
  }

 private:
  std::map<std::string, int> counts_;  // lost with this object, and rebuilt: see below
  std::shared_ptr<std::atomic<bool>> poisoned_;
};

int main(int argc, char** argv) {
  // Outlives the first failure: the poison works once.
  const auto poisoned = std::make_shared<std::atomic<bool>>(false);
  ProcessorSpec spec{
      .name = "word-count", .inputs = {"lines"}, .outputs = {{.name = "words"}}, .make = [poisoned](const Assignment&) {
        return std::make_unique<WordCount>(poisoned);
      }};
  // After a failure or a restart the new object reads `lines` again from the start, to count up to where the old one was; what it puts
  // out until then is dropped.
  spec.rebuild = true;
  return troupe::run_node(argc, argv, {spec});
}
