#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/rest/rest.hpp"

/// Small things that handlers share.
namespace troupe::http {

void answer_error(const CallPtr& call, const Request& request, const HttpError& error);
void answer_error(const CallPtr& call, Dialect dialect, const HttpError& error);
/// An error of the broker's while reading: nothing can have been written.
HttpError read_error(const Error& error);

/// The topic a route names, or the error is answered: 404 40401.
metadata::TopicPtr find_topic(Rest& rest, const CallPtr& call, const Request& request);
/// The partition that a route's segment names; nullopt: 404 40402 was answered.
std::optional<PartitionId> find_partition(const CallPtr& call, const Request& request, const metadata::TopicImage& topic,
                                          std::string_view text);

/// A whole number within [min, max], larger ones clamped to max when `clamped`. 400 otherwise, naming the parameter.
std::optional<HttpError> read_number(const Query& query, std::string_view name, std::int64_t min, std::int64_t max,
                                     bool clamped, std::int64_t& out);

void append_number(std::string& out, std::int64_t number);

/// {"code":"unknown_topic","num":40401,"msg":"..."}
void append_record_error(std::string& out, const HttpError& error);

}  // namespace troupe::http
