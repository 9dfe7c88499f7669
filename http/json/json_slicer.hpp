#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.hpp"

namespace troupe::http {

/// One value inside of a document: its text as it came, without the space around it. Writable: strings are unescaped where they lie.
struct JsonSlice {
  char* begin = nullptr;
  char* end = nullptr;

  std::string_view text() const { return {begin, static_cast<std::size_t>(end - begin)}; }
  ByteView bytes() const { return as_bytes(text()); }
  bool is_string() const { return *begin == '"'; }
  bool is_object() const { return *begin == '{'; }
  bool is_array() const { return *begin == '['; }
  bool is_null() const { return *begin == 'n'; }
};

/// Cuts a JSON document that has been validated into slices. Knows where values begin and end, not what is in them; bounds-checked all
/// the same. Nothing is recursive.
///
///   JsonSlicer object(slice);                       // begins with '{' or '['
///   while (object.next(name, value)) ...            // name is empty in an array
///
/// or, to look at every byte of what is large only once:
///
///   while (object.next(name)) {                     // stands before the value
///     auto inside = object.enter();                 // then, or `take`
///     while (inside.next(name, value)) ...          // to its end
///     object.leave(inside);
///   }
class JsonSlicer {
 public:
  /// `whole`: an object or array.
  explicit JsonSlicer(JsonSlice whole) : at_(whole.begin + 1), end_(whole.end) {}

  /// The next member or element.
  bool next(std::string_view& name, JsonSlice& value);
  /// To the next member or element: then `take`, or `enter` and `leave`.
  bool next(std::string_view& name);
  JsonSlice take() { return take_value(); }
  /// What the value begins with.
  bool at_object() const { return at_ < end_ && *at_ == '{'; }
  bool at_array() const { return at_ < end_ && *at_ == '['; }
  bool at_null() const { return at_ < end_ && *at_ == 'n'; }
  /// A walk over the object or array that is the value; goes to its end before `leave`.
  JsonSlicer enter() const { return JsonSlicer({at_, end_}); }
  void leave(const JsonSlicer& inside);

  /// The levels of the deepest value so far that was taken, and all values inside of values.
  std::size_t depth() const { return depth_; }
  std::size_t elements() const { return elements_; }

  /// The one value that `document` holds.
  static JsonSlice root(char* begin, char* end);

 private:
  void skip_space();
  JsonSlice take_value();

  char* at_;
  char* end_;
  std::size_t depth_ = 0;
  std::size_t elements_ = 0;
};

/// The content of a string slice, unescaped in place. UTF-8 never grows when it is unescaped.
ByteView unescape_in_place(JsonSlice string);

}  // namespace troupe::http
