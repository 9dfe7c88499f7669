#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::runtime {

/// Where one driver is. WGS 84, degrees; speed in m/s; heading in degrees clockwise from north.
struct DriverPosition {
  std::string id;
  std::string line;
  double latitude = 0;
  double longitude = 0;
  double speed = 0;
  int heading = 0;
};

/// The demo's drivers on the lines of London, and a boat on her own recorded track. Where they are is a function of time.
/// web/data/demo/README.md has the format and the sources.
class Fleet {
 public:
  /// Errors: corrupt_message (not such a document).
  static Result<Fleet> parse(std::string_view drivers_json);

  /// Everybody, `elapsed_ms` after the start.
  std::vector<DriverPosition> at(Millis elapsed_ms) const;
  std::size_t size() const { return drivers_.size() + (track_.empty() ? 0 : 1); }

 private:
  struct Point {
    double longitude = 0;
    double latitude = 0;
  };
  struct Line {
    std::string name;
    std::vector<Point> points;
    std::vector<double> metres;  ///< from the first point
  };
  struct Driver {
    std::string id;
    std::size_t line = 0;
    double start = 0;
    double speed = 0;
  };
  struct Fix {
    double seconds = 0;
    double latitude = 0;
    double longitude = 0;
  };

  DriverPosition on_line(const Driver& driver, std::size_t number, double seconds) const;
  DriverPosition on_track(double seconds) const;

  std::vector<Line> lines_;
  std::vector<Driver> drivers_;
  std::vector<std::pair<double, double>> jitter_;  ///< metres north, east
  std::vector<Fix> track_;
};

/// As a record's value: {"lat":..,"lon":..,"speed":..,"heading":..,"line":..,"at":ms}.
std::string to_json(const DriverPosition& position, TimestampMs at);

}  // namespace troupe::runtime
