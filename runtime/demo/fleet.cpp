#include "runtime/demo/fleet.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include <nlohmann/json.hpp>

namespace troupe::runtime {
namespace {

constexpr double metres_a_degree = 111'195;
constexpr double boat_pace = 15;  ///< times as fast as she was

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

double metres_between(double latitude_a, double longitude_a, double latitude_b, double longitude_b) {
  const double north = (latitude_b - latitude_a) * metres_a_degree;
  const double east = (longitude_b - longitude_a) * metres_a_degree * std::cos(radians(latitude_a));
  return std::hypot(north, east);
}

int heading_from(double latitude_a, double longitude_a, double latitude_b, double longitude_b) {
  const double north = latitude_b - latitude_a;
  const double east = (longitude_b - longitude_a) * std::cos(radians(latitude_a));
  const double degrees = std::atan2(east, north) * 180 / std::numbers::pi;
  return (static_cast<int>(std::lround(degrees)) + 360) % 360;
}

}  // namespace

Result<Fleet> Fleet::parse(std::string_view drivers_json) {
  try {
    const auto document = nlohmann::json::parse(drivers_json);
    Fleet fleet;
    for (const auto& one : document.at("lines")) {
      Line line{.name = one.at("name").get<std::string>(), .points = {}, .metres = {}};
      for (const auto& point : one.at("points")) {
        const Point here{point.at(0).get<double>(), point.at(1).get<double>()};
        const double so_far = line.points.empty() ? 0
                                                  : line.metres.back() + metres_between(line.points.back().latitude,
                                                                                        line.points.back().longitude,
                                                                                        here.latitude, here.longitude);
        line.points.push_back(here);
        line.metres.push_back(so_far);
      }
      if (line.points.size() < 2 || line.metres.back() <= 0) return Error{Errc::corrupt_message, "a line without length"};
      fleet.lines_.push_back(std::move(line));
    }
    for (const auto& one : document.at("drivers")) {
      Driver driver{.id = one.at("id").get<std::string>(),
                    .line = one.at("line").get<std::size_t>(),
                    .start = one.at("start").get<double>(),
                    .speed = one.at("speed_mps").get<double>()};
      if (driver.line >= fleet.lines_.size()) return Error{Errc::corrupt_message, "a driver on no line"};
      fleet.drivers_.push_back(std::move(driver));
    }
    for (const auto& one : document.at("jitter"))
      fleet.jitter_.emplace_back(one.at(0).get<double>(), one.at(1).get<double>());
    for (const auto& one : document.at("track")) {
      fleet.track_.push_back({one.at(0).get<double>(), one.at(1).get<double>(), one.at(2).get<double>()});
    }
    return fleet;
  } catch (const nlohmann::json::exception& exception) {
    return Error{Errc::corrupt_message, std::string("the drivers' data: ") + exception.what()};
  }
}

std::vector<DriverPosition> Fleet::at(Millis elapsed_ms) const {
  const double seconds = static_cast<double>(elapsed_ms) / 1000;
  std::vector<DriverPosition> all;
  all.reserve(size());
  for (std::size_t number = 0; number < drivers_.size(); ++number) all.push_back(on_line(drivers_[number], number, seconds));
  if (track_.size() > 1) all.push_back(on_track(seconds));
  return all;
}

/// To the end, and back again.
DriverPosition Fleet::on_line(const Driver& driver, std::size_t number, double seconds) const {
  const auto& line = lines_[driver.line];
  const double length = line.metres.back();
  double way = std::fmod(driver.start * length + driver.speed * seconds, 2 * length);
  const bool back = way > length;
  if (back) way = 2 * length - way;

  const auto behind = std::upper_bound(line.metres.begin(), line.metres.end(), way);
  const auto to = std::clamp<std::size_t>(static_cast<std::size_t>(behind - line.metres.begin()), 1, line.points.size() - 1);
  const auto& a = line.points[to - 1];
  const auto& b = line.points[to];
  const double gap = line.metres[to] - line.metres[to - 1];
  const double part = gap > 0 ? (way - line.metres[to - 1]) / gap : 0;

  DriverPosition position{.id = driver.id, .line = line.name, .speed = driver.speed};
  position.latitude = a.latitude + (b.latitude - a.latitude) * part;
  position.longitude = a.longitude + (b.longitude - a.longitude) * part;
  position.heading = back ? heading_from(b.latitude, b.longitude, a.latitude, a.longitude)
                          : heading_from(a.latitude, a.longitude, b.latitude, b.longitude);
  if (!jitter_.empty()) {
    const auto& [north, east] = jitter_[(static_cast<std::size_t>(seconds) + number * 97) % jitter_.size()];
    position.longitude += east / (metres_a_degree * std::cos(radians(position.latitude)));
    position.latitude += north / metres_a_degree;
  }
  return position;
}

DriverPosition Fleet::on_track(double seconds) const {
  const double time =
      track_.front().seconds + std::fmod(seconds * boat_pace, track_.back().seconds - track_.front().seconds);
  const auto behind =
      std::upper_bound(track_.begin(), track_.end(), time, [](double t, const Fix& fix) { return t < fix.seconds; });
  const auto to = std::clamp<std::size_t>(static_cast<std::size_t>(behind - track_.begin()), 1, track_.size() - 1);
  const auto& a = track_[to - 1];
  const auto& b = track_[to];
  const double gap = b.seconds - a.seconds;
  const double part = gap > 0 ? (time - a.seconds) / gap : 0;
  DriverPosition position{.id = "plaka", .line = "plaka"};
  position.latitude = a.latitude + (b.latitude - a.latitude) * part;
  position.longitude = a.longitude + (b.longitude - a.longitude) * part;
  position.speed = gap > 0 ? metres_between(a.latitude, a.longitude, b.latitude, b.longitude) / gap : 0;
  position.heading = heading_from(a.latitude, a.longitude, b.latitude, b.longitude);
  return position;
}

std::string to_json(const DriverPosition& position, TimestampMs at) {
  char numbers[160];
  std::snprintf(numbers, sizeof numbers,
                "{\"lat\":%.5f,\"lon\":%.5f,\"speed\":%.1f,\"heading\":%d,\"line\":", position.latitude, position.longitude,
                position.speed, position.heading);
  return numbers + nlohmann::json(position.line).dump() + ",\"at\":" + to_string(at) + "}";
}

}  // namespace troupe::runtime
