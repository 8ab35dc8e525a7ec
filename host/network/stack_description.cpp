#include "network/stack_description.hpp"

#include <charconv>
#include <cstdint>

#include "base/throw_error.hpp"
#include "io/file_keys.hpp"
#include "io/spec_metadata.hpp"

namespace plasticity {
namespace {

std::string key_of(const std::string& name, const char* key) {
  return str_cat(name.empty() ? "" : name + ".", "stack.", key);
}

std::string sources_text(const std::vector<int>& from) {
  std::string text;
  for (const int source : from) text += str_cat(text.empty() ? "" : ",", source);
  return text;
}

/// Returns the sources of layer `layer`, which the entry `key` lists.
std::vector<int> read_sources(const io::TensorFile& file, const std::string& key, std::int64_t layer) {
  const std::string& text = read_metadata(file, key);
  const auto refuse = [&](const std::string& expected) {
    throw_error(ErrorCode::format, place_in(file, str_cat("metadata '", key, "'")), expected,
                str_cat('\'', text, '\''));
  };
  std::vector<int> from;
  const char* next = text.data();
  for (const char* const end = next + text.size();; ++next) {
    int source = 0;
    const auto [stop, error] = std::from_chars(next, end, source);
    if (error != std::errc() || (stop != end && *stop != ',')) refuse("numbers separated by commas");
    if (source < Stack::input || source >= layer) refuse(str_cat("indices from -1 to ", layer - 1));
    from.push_back(source);
    if (stop == end) return from;
    next = stop;
  }
}

/// Returns an entry that is a number of at least 1.
std::int64_t read_size(const io::TensorFile& file, const std::string& key) {
  const auto size = read_number<std::int64_t>(file, key);
  if (size < 1)
    throw_error(ErrorCode::format, place_in(file, str_cat("metadata '", key, "'")), "at least 1",
                str_cat(size));
  return size;
}

}  // namespace

std::string layer_name(const std::string& name, std::size_t layer) {
  return str_cat(name, name.empty() ? "" : ".", "layer", layer);
}

std::map<std::string, std::string> describe_stack(const std::string& name, std::int64_t inputs,
                                                  const std::vector<StackLayer>& layers) {
  std::map<std::string, std::string> metadata;
  metadata[key_of(name, "inputs")] = str_cat(inputs);
  metadata[key_of(name, "layers")] = str_cat(layers.size());
  for (std::size_t k = 0; k < layers.size(); ++k)
    metadata[key_of(name, str_cat("from", k).c_str())] = sources_text(layers[k].from);
  return metadata;
}

StackDescription load_stack(const io::TensorFile& file, const std::string& name) {
  StackDescription description;
  description.inputs = read_size(file, key_of(name, "inputs"));
  const std::int64_t count = read_size(file, key_of(name, "layers"));
  for (std::int64_t k = 0; k < count; ++k) {
    const Spec spec = read_spec(file, layer_name(name, static_cast<std::size_t>(k)) + ".");
    const std::string key = key_of(name, str_cat("from", k).c_str());
    description.layers.push_back({.spec = spec, .from = read_sources(file, key, k)});
  }
  return description;
}

}  // namespace plasticity
