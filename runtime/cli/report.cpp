#include "runtime/cli/report.hpp"

namespace troupe::cli {

void Report::finding(const Finding& finding) {
  ++findings_;
  if (out_.json()) {
    Json object{{"type", "finding"}, {"file", finding.file}};
    if (finding.position) object["position"] = *finding.position;
    if (finding.offset) object["offset"] = finding.offset->value();
    object["reason"] = finding.reason;
    object["means"] = finding.means;
    object["do"] = finding.action;
    out_.print(object);
    return;
  }
  auto line = "FINDING " + finding.file;
  if (finding.position) line += ", position " + std::to_string(*finding.position);
  if (finding.offset) line += ", offset " + to_string(*finding.offset);
  line += ": " + finding.reason + ". Means: " + finding.means + ". Do: " + finding.action + ".";
  out_.line(line);
}

void Report::note(const std::string& file, const std::string& text) {
  if (out_.json()) {
    out_.print(Json{{"type", "note"}, {"file", file}, {"text", text}});
  } else {
    out_.line("note    " + file + ": " + text);
  }
}

void Report::summary() {
  if (out_.json()) {
    out_.print(Json{{"type", "summary"},
                    {"partitions", partitions},
                    {"segments", segments},
                    {"batches", batches},
                    {"records", records},
                    {"bytes", bytes},
                    {"findings", findings_}});
    return;
  }
  const auto counted = [](std::uint64_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  out_.line(counted(partitions, "partition") + ", " + counted(segments, "segment") + ", " + std::to_string(batches) +
            (batches == 1 ? " batch" : " batches") + ", " + counted(records, "record") + ", " + counted(bytes, "byte") +
            " checked: " + (findings_ == 0 ? "no findings" : counted(findings_, "finding")));
}

}  // namespace troupe::cli
