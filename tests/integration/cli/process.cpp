#include "tests/integration/cli/process.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/support/temp_directory.hpp"

namespace troupe::test {
namespace {

int run(std::vector<std::string>& arguments, int out, int err) {
  arguments.insert(arguments.begin(), TROUPE_PROGRAM);
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const auto child = ::fork();
  if (child == 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::execv(TROUPE_PROGRAM, pointers.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string content(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

int create(const std::string& path) { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); }

}  // namespace

Ran run_troupe(std::vector<std::string> arguments) {
  const TempDirectory folder;
  const int out = create(folder / "out");
  const int err = create(folder / "err");
  const auto exit_code = run(arguments, out, err);
  ::close(out);
  ::close(err);
  return {exit_code, content(folder / "out"), content(folder / "err")};
}

Ran run_troupe_unread(std::vector<std::string> arguments) {
  const TempDirectory folder;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {-1, {}, "no pipe"};
  ::close(ends[0]);
  const int err = create(folder / "err");
  const auto exit_code = run(arguments, ends[1], err);
  ::close(ends[1]);
  ::close(err);
  return {exit_code, {}, content(folder / "err")};
}

}  // namespace troupe::test
