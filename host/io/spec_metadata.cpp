#include "io/spec_metadata.hpp"

#include <array>
#include <charconv>

#include "base/throw_error.hpp"

namespace plasticity {
namespace {

/// Names a metadata entry in messages.
std::string entry_name(const io::TensorFile& file, const std::string& key) {
  return str_cat(file.source, file.source.empty() ? "" : " ", "metadata '", key, "'");
}

template <class Enum>
Enum read_choice(const io::TensorFile& file, const std::string& key) {
  const std::string& word = read_metadata(file, key);
  try {
    return parse<Enum>(word, entry_name(file, key));
  } catch (const Error& error) {  // an error in the file, not in the call
    throw Error(ErrorCode::format, error.what());
  }
}

/// Returns the shortest text that parses to the same number.
std::string exact_text(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), end);
}

}  // namespace

const std::string& read_metadata(const io::TensorFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) throw_error(ErrorCode::format, entry_name(file, key), "a value", "none");
  return found->second;
}

template <class Number>
Number read_number(const io::TensorFile& file, const std::string& key) {
  const std::string& value = read_metadata(file, key);
  Number result{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size()) {
    throw_error(ErrorCode::format, entry_name(file, key), "a number", str_cat('\'', value, '\''));
  }
  return result;
}
template std::int64_t read_number<std::int64_t>(const io::TensorFile&, const std::string&);
template double read_number<double>(const io::TensorFile&, const std::string&);

void write_spec(const Spec& spec, io::TensorFile& file) {
  file.metadata["cell"] = to_string(spec.cell);
  file.metadata["rule"] = to_string(spec.rule);
  file.metadata["rate"] = to_string(spec.rate);
  file.metadata["eligibility"] = to_string(spec.eligibility);
  file.metadata["alpha"] = to_string(spec.alpha);
  file.metadata["activation"] = to_string(spec.activation);
  file.metadata["modulator_source"] = to_string(spec.modulator_source);
  file.metadata["I"] = str_cat(spec.inputs);
  file.metadata["N"] = str_cat(spec.neurons);
  file.metadata["clip"] = exact_text(spec.clip);
}

Spec read_spec(const io::TensorFile& file) {
  Spec spec;
  spec.cell = read_choice<Cell>(file, "cell");
  spec.rule = read_choice<Rule>(file, "rule");
  spec.rate = read_choice<Rate>(file, "rate");
  spec.eligibility = read_choice<Eligibility>(file, "eligibility");
  spec.alpha = read_choice<Granularity>(file, "alpha");
  spec.activation = read_choice<Activation>(file, "activation");
  spec.modulator_source = read_choice<ModulatorSource>(file, "modulator_source");
  spec.inputs = read_number<std::int64_t>(file, "I");
  spec.neurons = read_number<std::int64_t>(file, "N");
  spec.clip = read_number<double>(file, "clip");
  try {
    spec.validate();  // an invalid spec is an error in the file
  } catch (const Error& error) {
    throw Error(ErrorCode::format,
                str_cat(file.source, file.source.empty() ? "" : " ", "metadata: ", error.what()));
  }
  return spec;
}

}  // namespace plasticity
