#include "io/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "io/messages.hpp"

namespace plasticity::io {
namespace {

using Json = nlohmann::json;

constexpr std::string_view metadata_key = "__metadata__";
constexpr std::array known_dtypes = {DType::f64, DType::f32, DType::f16, DType::bf16,
                                     DType::i64, DType::i32, DType::u8,  DType::boolean};
constexpr std::array<std::string_view, 14> unsupported_dtypes = {
    "I8", "I16",     "U16",     "U32",     "U64",         "C64",     "F8_E4M3",
    "F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3FNUZ", "F8_E8M0", "F8_E5M2FNUZ"};

/// Handles the events of the JSON parser. Every level of the format accepts only certain values, so depth and
/// memory are bounded for any input. A parsed document would not do: it drops errors such as a duplicate key.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  Header take() { return std::move(header_); }

  bool start_object(std::size_t) {
    if (place_ == Place::document) return go(Place::root);
    if (place_ != Place::root) unexpected("an object");
    if (key_ == metadata_key) return go(Place::metadata);
    entry_ = Entry();
    entry_.name = key_;
    has_dtype_ = has_shape_ = has_offsets_ = false;
    return go(Place::tensor);
  }

  bool key(std::string& key) {
    key_ = key;
    if (place_ == Place::root && !names_.insert(key).second) duplicate(file_, key);
    if (place_ == Place::metadata && header_.metadata.contains(key)) duplicate(metadata_name(), key);
    if (place_ == Place::tensor) {
      bool* seen = key == "dtype"          ? &has_dtype_
                   : key == "shape"        ? &has_shape_
                   : key == "data_offsets" ? &has_offsets_
                                           : nullptr;
      if (!seen) refuse(here(), "the keys dtype, shape and data_offsets only", in_quotes(key));
      if (*seen) duplicate(here(), key);
      *seen = true;
    }
    return true;
  }

  bool end_object() {
    if (place_ == Place::root) return go(Place::document);
    if (place_ == Place::tensor) finish_entry();
    return go(Place::root);
  }

  bool start_array(std::size_t) {
    if (place_ == Place::tensor && key_ == "shape") return go(Place::shape);
    if (place_ == Place::tensor && key_ == "data_offsets") return go(Place::offsets);
    unexpected("an array");
  }

  bool end_array() {
    if (place_ == Place::offsets && offsets_ != 2) unexpected(str_cat(offsets_, " numbers"));
    return go(Place::tensor);
  }

  bool string(std::string& value) {
    if (place_ == Place::metadata) {
      header_.metadata[key_] = value;
    } else if (place_ == Place::tensor && key_ == "dtype") {
      entry_.dtype = dtype_named(value);
    } else {
      unexpected("the string " + in_quotes(value));
    }
    return true;
  }

  bool number_unsigned(std::uint64_t value) {
    if (place_ == Place::shape && value <= INT64_MAX) {
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_ == 0 ? entry_.begin : entry_.end) = value;
      ++offsets_;
    } else {
      unexpected(offsets_ == 2 && place_ == Place::offsets ? "more" : str_cat(value));
    }
    return true;
  }

  // The parser calls this only for numbers with a minus sign.
  bool number_integer(std::int64_t value) { unexpected(value == 0 ? "-0" : str_cat(value)); }
  bool number_float(double, const std::string& token) { unexpected(printable(token, 40)); }
  bool boolean(bool value) { unexpected(value ? "true" : "false"); }
  bool null() { unexpected("null"); }
  bool binary(Json::binary_t&) { unexpected("bytes"); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
    refuse(file_, "a header in JSON",
           str_cat("an error at byte ", position, ": ", printable(error.what(), 300)));
  }

 private:
  enum class Place { document, root, metadata, tensor, shape, offsets };

  bool go(Place place) {
    place_ = place;
    if (place == Place::offsets) offsets_ = 0;
    if (place == Place::shape) entry_.shape.clear();
    return true;
  }

  std::string metadata_name() const { return file_ + ": " + std::string(metadata_key); }
  std::string here() const { return tensor_in(file_, entry_.name); }

  [[noreturn]] static void refuse(const std::string& what, const std::string& expected,
                                  const std::string& got) {
    throw_error(ErrorCode::format, what, expected, got);
  }

  [[noreturn]] static void duplicate(const std::string& where, const std::string& key) {
    throw Error(ErrorCode::format, where + ": key " + in_quotes(key) + " occurs twice");
  }

  [[noreturn]] void unexpected(const std::string& got) const {
    if (place_ == Place::document) refuse(file_, "one JSON object as header", got);
    if (place_ == Place::root && key_ == metadata_key) refuse(metadata_name(), "an object of strings", got);
    if (place_ == Place::root) refuse(tensor_in(file_, key_), "an object", got);
    if (place_ == Place::metadata) refuse(metadata_name() + ' ' + in_quotes(key_), "a string", got);
    if (key_ == "dtype") refuse(here(), "a string as dtype", got);
    if (key_ == "shape") refuse(here(), "an array of integers from 0 to 2^63-1 as shape", got);
    refuse(here(), "an array of two integers from 0 to 2^64-1 as data_offsets", got);
  }

  DType dtype_named(const std::string& name) const {
    const auto* found = std::find_if(known_dtypes.begin(), known_dtypes.end(),
                                     [&](DType dtype) { return to_string(dtype) == name; });
    if (found != known_dtypes.end()) return *found;
    const bool unsupported =
        std::find(unsupported_dtypes.begin(), unsupported_dtypes.end(), name) != unsupported_dtypes.end();
    throw_error(unsupported ? ErrorCode::unsupported : ErrorCode::format, here(),
                "a dtype of F64 F32 F16 BF16 I64 I32 U8 BOOL", in_quotes(name));
  }

  void finish_entry() {
    if (!has_dtype_) refuse(here(), "a dtype", "none");
    if (!has_shape_) refuse(here(), "a shape", "none");
    if (!has_offsets_) refuse(here(), "data_offsets", "none");
    const std::int64_t bytes = tensor_bytes(entry_.dtype, entry_.shape);
    if (bytes < 0) refuse(here(), "a shape of less than 2^63 bytes", shape_text(entry_.shape));
    if (entry_.begin > entry_.end) {
      refuse(here(), "data_offsets in increasing order", str_cat(entry_.begin, " before ", entry_.end));
    }
    if (entry_.end - entry_.begin != static_cast<std::uint64_t>(bytes)) {
      refuse(here(), str_cat("data_offsets that span the ", bytes, " bytes of its shape and dtype"),
             str_cat(entry_.end - entry_.begin, " bytes"));
    }
    header_.entries.push_back(std::move(entry_));
  }

  const std::string& file_;
  Header header_;
  std::set<std::string> names_;
  Place place_ = Place::document;
  std::string key_;  // the last key
  Entry entry_;      // the current entry
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  int offsets_ = 0;  // number of data_offsets read so far
};

}  // namespace

std::string tensor_in(const std::string& file, std::string_view name) {
  return file + ": tensor " + in_quotes(name);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += str_cat(text.empty() ? "" : ",", size);
  return str_cat('[', text, ']');
}

std::int64_t tensor_bytes(DType dtype, const std::vector<std::int64_t>& shape) {
  auto product = static_cast<std::int64_t>(element_bytes(dtype));
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product)) return -1;
    empty = empty || size == 0;
  }
  return empty ? 0 : product;
}

Header parse_header(std::string_view json, const std::string& file) {
  // The format requires it. JSON parsers would skip spaces or a byte order mark.
  if (!json.starts_with('{'))
    throw_error(ErrorCode::format, file, "a header that starts with '{'", in_quotes(json.substr(0, 8)));
  // The parser treats a zero byte as the end of its input and would ignore the rest.
  if (const auto zero = json.find('\0'); zero != std::string_view::npos) {
    throw_error(ErrorCode::format, file, "a header in JSON", str_cat("a zero at byte ", zero + 1));
  }
  HeaderReader reader(file);
  Json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

void check_layout(std::vector<Entry>& entries, std::uint64_t data_bytes, const std::string& file) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t filled = 0;
  for (const Entry& entry : entries) {
    if (entry.end > data_bytes) {
      throw_error(ErrorCode::format, tensor_in(file, entry.name),
                  str_cat("data within the ", data_bytes, " bytes of the file"),
                  str_cat("data_offsets up to ", entry.end));
    }
    if (entry.begin != filled) {
      throw_error(ErrorCode::format, tensor_in(file, entry.name), str_cat("data from offset ", filled),
                  str_cat(entry.begin, entry.begin < filled ? ", an overlap" : ", a gap"));
    }
    filled = entry.end;
  }
  if (filled != data_bytes) {
    throw_error(ErrorCode::format, file, str_cat(filled, " bytes of tensors"),
                str_cat(data_bytes, " bytes of data"));
  }
}

std::string header_text(const Header& header, const std::string& file) {
  const auto checked = [&](const std::string& string, const std::string& what) -> const std::string& {
    try {
      (void)Json(string).dump();
    } catch (const Json::type_error&) {
      bad_argument(what, "text in UTF-8", in_quotes(string));
    }
    return string;
  };
  Json root = Json::object();
  for (const auto& [key, value] : header.metadata) {
    const std::string what = file + ": " + std::string(metadata_key);
    root[std::string(metadata_key)][checked(key, what)] = checked(value, what + ' ' + in_quotes(key));
  }
  for (const Entry& entry : header.entries) {
    const std::string what = tensor_in(file, entry.name);
    if (entry.name == metadata_key) {
      throw Error(ErrorCode::invalid_argument, what + ": this name is reserved for the metadata");
    }
    root[checked(entry.name, what)] = {{"dtype", to_string(entry.dtype)},
                                       {"shape", entry.shape},
                                       {"data_offsets", {entry.begin, entry.end}}};
  }
  return root.dump();
}

}  // namespace plasticity::io
