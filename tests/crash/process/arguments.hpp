#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace troupe::test {

/// `--name=value` arguments of a test program.
class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      const auto equals = argument.find('=');
      if (!argument.starts_with("--") || equals == std::string::npos) end("wanted --name=value, got " + argument);
      values_[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
    }
  }

  std::string text(const std::string& name, const std::string& otherwise = "") {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    auto value = found->second;
    values_.erase(found);
    return value;
  }

  std::uint64_t number(const std::string& name, std::uint64_t otherwise) {
    const auto value = text(name);
    if (value.empty()) return otherwise;
    char* rest = nullptr;
    const auto number = std::strtoull(value.c_str(), &rest, 10);
    if (*rest != '\0') end("--" + name + " wants a number, got " + value);
    return number;
  }

  /// After the last one was taken: a misspelt option must not turn a test into another one.
  void finish() const {
    if (!values_.empty()) end("unknown option --" + values_.begin()->first);
  }

 private:
  [[noreturn]] static void end(const std::string& message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(2);
  }

  std::map<std::string, std::string> values_;
};

}  // namespace troupe::test
