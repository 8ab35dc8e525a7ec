#include "io/spec_metadata.hpp"

#include "base/exact_text.hpp"
#include "base/throw_error.hpp"
#include "io/file_keys.hpp"

namespace plasticity {
namespace {

/// Names a metadata entry in messages.
std::string entry_name(const io::TensorFile& file, const std::string& key) {
  return place_in(file, str_cat("metadata '", key, "'"));
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

}  // namespace

const std::string& read_metadata(const io::TensorFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) throw_error(ErrorCode::format, entry_name(file, key), "a value", "none");
  return found->second;
}

template <class Number>
Number read_number(const io::TensorFile& file, const std::string& key) {
  const std::string& value = read_metadata(file, key);
  const std::optional<Number> number = parse_number<Number>(value);
  if (!number) throw_error(ErrorCode::format, entry_name(file, key), "a number", str_cat('\'', value, '\''));
  return *number;
}
template std::int64_t read_number<std::int64_t>(const io::TensorFile&, const std::string&);
template double read_number<double>(const io::TensorFile&, const std::string&);

namespace {

/// Returns the entries of a Spec.
std::map<std::string, std::string> entries(const Spec& spec) {
  return {{"cell", std::string(to_string(spec.cell))},
          {"rule", std::string(to_string(spec.rule))},
          {"rate", std::string(to_string(spec.rate))},
          {"eligibility", std::string(to_string(spec.eligibility))},
          {"alpha", std::string(to_string(spec.alpha))},
          {"activation", std::string(to_string(spec.activation))},
          {"modulator_source", std::string(to_string(spec.modulator_source))},
          {"I", str_cat(spec.inputs)},
          {"N", str_cat(spec.neurons)},
          {"clip", exact_text(spec.clip)}};
}

/// Returns the end of a message about a missing network: the networks that the file has.
std::string describe_networks(const io::TensorFile& file) {
  constexpr std::string_view ending = ".cell";
  std::string names;
  for (const auto& [key, value] : file.metadata) {
    if (key.ends_with(ending))
      names += str_cat(names.empty() ? "'" : ", '", key.substr(0, key.size() - ending.size()), "'");
  }
  if (file.metadata.contains("cell")) return "; the file has a network without a name";
  return names.empty() ? "" : str_cat("; the file has networks with the names ", names);
}

}  // namespace

void write_spec(const Spec& spec, io::TensorFile& file, const std::string& prefix) {
  for (const auto& [key, value] : entries(spec)) file.metadata[prefix + key] = value;
}

Spec read_spec(const io::TensorFile& file, const std::string& prefix) {
  if (!file.metadata.contains(prefix + "cell"))
    throw_error(ErrorCode::format, entry_name(file, prefix + "cell"), "a value",
                str_cat("none", describe_networks(file)));
  Spec spec;
  spec.cell = read_choice<Cell>(file, prefix + "cell");
  spec.rule = read_choice<Rule>(file, prefix + "rule");
  spec.rate = read_choice<Rate>(file, prefix + "rate");
  spec.eligibility = read_choice<Eligibility>(file, prefix + "eligibility");
  spec.alpha = read_choice<Granularity>(file, prefix + "alpha");
  spec.activation = read_choice<Activation>(file, prefix + "activation");
  spec.modulator_source = read_choice<ModulatorSource>(file, prefix + "modulator_source");
  spec.inputs = read_number<std::int64_t>(file, prefix + "I");
  spec.neurons = read_number<std::int64_t>(file, prefix + "N");
  spec.clip = read_number<double>(file, prefix + "clip");
  try {
    spec.validate();  // an invalid spec is an error in the file
  } catch (const Error& error) {
    throw Error(ErrorCode::format, place_in(file, str_cat("metadata: ", error.what())));
  }
  return spec;
}

}  // namespace plasticity
