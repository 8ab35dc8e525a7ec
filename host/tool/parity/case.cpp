#include "tool/parity/case.hpp"

#include <cmath>
#include <optional>

#include "base/throw_error.hpp"
#include "io/spec_metadata.hpp"

namespace plasticity::parity {
namespace {

constexpr std::string_view format_name = "plasticity-parity-1";

Shape mask_shape(const Case& c, const std::string& name) {
  if (name == "reset") return Shape{{c.steps, c.batch}, 2};
  if (name == "length") return Shape{{c.batch}, 1};
  return Shape{{c.steps, c.batch, c.spec.neurons}, 3};  // clamp, clamp_value
}

std::optional<Shape> output_shape(const Case& c, const std::string& name) {
  if (name == "y") return Shape{{c.steps, c.batch, c.spec.neurons}, 3};
  if (name == "modulation" && c.spec.has_modulator()) return Shape{{c.steps, c.batch}, 2};
  if (!name.ends_with("_final")) return std::nullopt;
  return state_shape(c.spec, c.batch, name.substr(0, name.size() - 6));
}

/// state.y0, state.c0, … -> y, c, …
std::optional<Shape> initial_shape(const Case& c, const std::string& name) {
  if (!name.ends_with('0')) return std::nullopt;
  return state_shape(c.spec, c.batch, name.substr(0, name.size() - 1));
}

/// The shape that a tensor of the file must have, or nothing if the case must not have this tensor.
std::optional<Shape> expected_shape(const Case& c, const std::string& full_name) {
  const std::size_t dot = full_name.find('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string group = full_name.substr(0, dot), name = full_name.substr(dot + 1);
  const auto input = [&] { return input_shape(c.spec, c.steps, c.batch, name); };
  if (group == "param") return parameter_shape(c.spec, name);
  if (group == "input") return input();
  if (group == "state") return initial_shape(c, name);
  if (group == "mask") {
    if (name != "reset" && name != "length" && name != "clamp" && name != "clamp_value") return std::nullopt;
    return mask_shape(c, name);
  }
  if (group == "expect" || group == "upstream") return output_shape(c, name);
  if (group == "grad") {
    if (const auto shape = parameter_shape(c.spec, name)) return shape;
    if (const auto shape = input()) return shape;
    return initial_shape(c, name);
  }
  return std::nullopt;
}

std::string list(const std::vector<std::int64_t>& shape) {
  std::string dimensions = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis)
    dimensions += str_cat(axis > 0 ? "," : "", shape[axis]);
  return dimensions + "]";
}

void check_tensors(const Case& c) {
  for (const auto& [name, tensor] : c.file.tensors) {
    const std::optional<Shape> shape = expected_shape(c, name);
    if (!shape) {
      throw_error(ErrorCode::format, str_cat(c.file.source, " tensor '", name, "'"),
                  str_cat("only tensors of a case of ", to_string(c.spec)), "an unknown tensor");
    }
    const std::vector<std::int64_t> want(shape->size.begin(), shape->size.begin() + shape->rank);
    if (tensor.shape != want) {
      throw_error(ErrorCode::format, str_cat(c.file.source, " tensor '", name, "'"),
                  str_cat("shape ", list(want)), list(tensor.shape));
    }
  }
  const auto require = [&](const std::string& prefix, std::string_view name, bool shaped) {
    if (shaped && name != "u") (void)c.file.at(str_cat(prefix, name));
  };
  for (const auto& member : Parameters<double>::members()) {
    require("param.", member.name, parameter_shape(c.spec, member.name).has_value());
  }
  for (const auto& member : Inputs<double>::members()) {
    require("input.", member.name, input_shape(c.spec, c.steps, c.batch, member.name).has_value());
  }
  if (c.file.contains("mask.clamp")) (void)c.file.at("mask.clamp_value");
  (void)c.file.at("expect.y");
}

/// mask.length as whole numbers in 0..T. The file may store them in any type.
std::vector<std::int64_t> lengths_of(const Case& c) {
  std::vector<std::int64_t> lengths;
  for (const double value : io::to_doubles(c.file.at("mask.length"))) {
    if (!(value >= 0 && value <= static_cast<double>(c.steps) && value == std::floor(value))) {
      throw_error(ErrorCode::format, str_cat(c.file.source, " tensor 'mask.length'"),
                  str_cat("whole numbers from 0 to ", c.steps), str_cat(value));
    }
    lengths.push_back(static_cast<std::int64_t>(value));
  }
  return lengths;
}

}  // namespace

Case load_case(const std::filesystem::path& path) {
  Case c{path.stem().string(), {}, 0, 0, io::load(path)};
  const io::TensorFile& file = c.file;
  if (const std::string& format = read_metadata(file, "format"); format != format_name) {
    throw_error(ErrorCode::format, str_cat(file.source, " metadata 'format'"), std::string(format_name),
                format);
  }
  c.steps = read_number<std::int64_t>(file, "T");
  c.batch = read_number<std::int64_t>(file, "B");
  c.spec = read_spec(file);
  // The input of an rnn without w_in is its current, whatever I is.
  if (c.spec.cell == Cell::rnn && !file.contains("param.w_in")) c.spec.inputs = 0;
  if (c.steps < 0 || c.batch < 0)
    throw_error(ErrorCode::format, file.source, "T and B at least 0", str_cat(c.steps, ", ", c.batch));
  check_tensors(c);
  return c;
}

template <class Real>
const Real* Buffers<Real>::input(const Case& c, const std::string& name) {
  const auto found = c.file.tensors.find(name);
  if (found == c.file.tensors.end()) return nullptr;
  const std::vector<double> values = io::to_doubles(found->second);
  storage_.emplace_back(values.begin(), values.end());
  return storage_.back().data();
}

template <class Real>
Real* Buffers<Real>::result(const Case& c, const std::string& name) {
  const auto found = c.file.tensors.find(name);
  if (found == c.file.tensors.end()) return nullptr;
  storage_.emplace_back(static_cast<std::size_t>(io::elements(found->second)), Real(0));
  results_.push_back({name, storage_.back().data()});
  return storage_.back().data();
}

template <class Real>
Buffers<Real>::Buffers(const Case& c) {
  const auto flags = [&](const std::string& name, std::vector<std::uint8_t>& storage) -> const std::uint8_t* {
    if (!c.file.contains(name)) return nullptr;
    for (const double value : io::to_doubles(c.file.at(name))) storage.push_back(value != 0);
    return storage.data();
  };
  for (const auto& member : Parameters<const Real>::members()) {
    forward.parameters.*member.pointer = input(c, str_cat("param.", member.name));
  }
  for (const auto& member : Inputs<const Real>::members()) {
    forward.inputs.*member.pointer = input(c, str_cat("input.", member.name));
  }
  for (const auto& member : State<const Real>::members()) {
    forward.initial_state.*member.pointer = input(c, str_cat("state.", member.name, "0"));
    backward.dfinal_state.*member.pointer = input(c, str_cat("upstream.", member.name, "_final"));
  }
  forward.masks.reset = flags("mask.reset", reset_);
  forward.masks.clamp = flags("mask.clamp", clamp_);
  forward.masks.clamp_value = input(c, "mask.clamp_value");
  if (c.file.contains("mask.length")) {
    length_ = lengths_of(c);
    forward.masks.length = length_.data();
  }
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.initial_state = forward.initial_state;
  backward.masks = forward.masks;
  backward.dy = input(c, "upstream.y");

  forward.y = result(c, "expect.y");
  forward.modulation = result(c, "expect.modulation");
  for (const auto& member : State<Real>::members()) {
    forward.final_state.*member.pointer = result(c, str_cat("expect.", member.name, "_final"));
  }
  for (const auto& member : Parameters<Real>::members()) {
    backward.dparameters.*member.pointer = result(c, str_cat("grad.", member.name));
  }
  for (const auto& member : Inputs<Real>::members()) {
    backward.dinputs.*member.pointer = result(c, str_cat("grad.", member.name));
  }
  for (const auto& member : State<Real>::members()) {
    backward.dinitial_state.*member.pointer = result(c, str_cat("grad.", member.name, "0"));
  }
}

template class Buffers<float>;
template class Buffers<double>;

}  // namespace plasticity::parity
