#include "cuda/observations.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/throw_error.hpp"

namespace plasticity::cuda {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<ThreadShape, std::string_view>, 4> thread_names = {
    {{ThreadShape::rows_8x4, "rows_8x4"},
     {ThreadShape::rows_8x4_half, "rows_8x4_half"},
     {ThreadShape::rows_16x4, "rows_16x4"},
     {ThreadShape::rows_32x1, "rows_32x1"}}};

std::string_view name_of(ThreadShape shape) {
  return std::find_if(thread_names.begin(), thread_names.end(),
                      [&](const auto& each) { return each.first == shape; })
      ->second;
}

double rounded(double time) { return std::round(time * 1e3) / 1e3; }

Json json_of(const DeviceLimits& limits) {
  return {{"multiprocessors", limits.multiprocessors},
          {"shared_bytes", limits.shared_bytes},
          {"cluster_blocks", limits.cluster_blocks},
          {"cooperative", limits.cooperative},
          {"l2_bytes", limits.l2_bytes},
          {"memory_bytes", limits.memory_bytes},
          {"memory_rate", limits.memory_rate},
          {"clusters", limits.clusters}};
}

Json json_of(const Observation& observation) {
  const Spec& spec = observation.spec;
  const Candidate& candidate = observation.candidate;
  Json entry{{"cell", to_string(spec.cell)},
             {"rule", to_string(spec.rule)},
             {"rate", to_string(spec.rate)},
             {"alpha", to_string(spec.alpha)},
             {"neurons", spec.neurons},
             {"inputs", spec.inputs},
             {"batch", observation.sizes.B},
             {"steps", observation.sizes.T},
             {"precision", observation.sizes.bf16 ? "bf16" : "f32"},
             {"execution", to_string(candidate.execution)},
             {"checkpoint_interval", candidate.interval}};
  if (candidate.resident()) {
    const GroupShape& shape = candidate.shape.group;
    entry["columns"] = shape.columns;
    entry["thread"] = name_of(shape.thread);
    entry["sums_alpha"] = shape.sums_alpha;
  }
  entry["forward_us"] = rounded(observation.measured.forward);
  entry["backward_us"] = rounded(observation.measured.backward);
  return entry;
}

/// Reads the values of an object; errors name the file and the key.
class Reader {
 public:
  Reader(const std::filesystem::path& path, std::string key, const Json& object)
      : path_(path), key_(std::move(key)), object_(object) {
    if (!object.is_object()) fail("", "an object", object.dump());
  }

  template <class Value>
  Value get(const char* name, const char* expected) const {
    const auto found = object_.find(name);
    if (found == object_.end()) fail(name, expected, "none");
    try {
      return found->get<Value>();
    } catch (const nlohmann::json::exception&) {
      fail(name, expected, found->dump());
    }
  }
  std::int64_t count(const char* name, std::int64_t min = 1) const {
    const auto value = get<std::int64_t>(name, "a whole number");
    if (value < min) fail(name, min > 0 ? "a positive number" : "a number from 0", str_cat(value));
    return value;
  }
  double positive(const char* name) const {
    const auto value = get<double>(name, "a positive number");
    if (!(value > 0) || !std::isfinite(value)) fail(name, "a positive number", object_.at(name).dump());
    return value;
  }
  template <class Enum>
  Enum choice(const char* name) const {
    return parse<Enum>(get<std::string>(name, "a name"), str_cat(path_.string(), ": ", key_, '.', name));
  }
  [[noreturn]] void fail(const char* name, const std::string& expected, const std::string& got) const {
    throw_error(ErrorCode::format, str_cat(path_.string(), ": ", key_, *name == '\0' ? "" : ".", name),
                expected, got);
  }

 private:
  const std::filesystem::path& path_;
  std::string key_;
  const Json& object_;
};

DeviceLimits limits_of(const Reader& reader) {
  DeviceLimits limits;
  limits.multiprocessors = static_cast<int>(reader.count("multiprocessors"));
  limits.shared_bytes = reader.count("shared_bytes");
  limits.cluster_blocks = static_cast<int>(reader.count("cluster_blocks", 0));
  limits.cooperative = reader.get<bool>("cooperative", "true or false");
  limits.l2_bytes = reader.count("l2_bytes");
  limits.memory_bytes = reader.count("memory_bytes");
  limits.memory_rate = reader.positive("memory_rate");
  limits.clusters = reader.get<std::array<int, 4>>("clusters", "four numbers");
  return limits;
}

GroupKind kind_of(Execution execution) {
  switch (execution) {
    case Execution::cta: return GroupKind::cta;
    case Execution::cluster: return GroupKind::cluster;
    default: return GroupKind::grid;
  }
}

/// The shape that an observation names, of those that fit the device.
ResidentShape shape_of(const Reader& reader, const Spec& spec, bool bf16, Execution execution,
                       const DeviceLimits& limits) {
  const std::int64_t columns = reader.count("columns");
  const auto thread = reader.get<std::string>("thread", "the part of a thread");
  const bool sums_alpha = reader.get<bool>("sums_alpha", "true or false");
  std::string reason;
  for (const ResidentShape& shape : shapes_that_fit(spec, bf16, limits, kind_of(execution), reason)) {
    if (shape.group.columns == columns && name_of(shape.group.thread) == thread &&
        shape.group.sums_alpha == sums_alpha)
      return shape;
  }
  reader.fail("thread", "a shape that fits the network and the device", str_cat(thread, ' ', reason));
}

Observation observation_of(const Reader& reader, const DeviceLimits& limits) {
  Observation result;
  result.spec = {.cell = reader.choice<Cell>("cell"),
                 .rule = reader.choice<Rule>("rule"),
                 .rate = reader.choice<Rate>("rate"),
                 .alpha = reader.choice<Granularity>("alpha"),
                 .inputs = reader.count("inputs", 0),
                 .neurons = reader.count("neurons")};
  result.spec.validate();
  result.sizes = {.B = reader.count("batch"),
                  .T = reader.count("steps"),
                  .bf16 = reader.choice<Precision>("precision") == Precision::bf16};
  result.candidate.execution = reader.choice<Execution>("execution");
  result.candidate.interval = reader.count("checkpoint_interval");
  if (result.candidate.resident()) {
    result.candidate.shape =
        shape_of(reader, result.spec, result.sizes.bf16, result.candidate.execution, limits);
  }
  result.measured = {.forward = reader.positive("forward_us"), .backward = reader.positive("backward_us")};
  return result;
}

/// "rnn hard_clip fan_out N 200 B 30 T 50 f32": the network and the sizes that competing observations share.
std::string name_of(const Observation& observation) {
  const Spec& spec = observation.spec;
  return str_cat(to_string(spec.cell), ' ', to_string(spec.rule), ' ', to_string(spec.rate), " N ",
                 spec.neurons, " B ", observation.sizes.B, " T ", observation.sizes.T,
                 observation.sizes.bf16 ? " bf16" : " f32");
}

}  // namespace

std::string tuning_text(const DeviceConstants& constants, const Measurements& measurements) {
  Json values;
  for (const auto& member : DeviceConstants::members())
    values[std::string(member.name)] = constants.*member.pointer;
  Json file{{"format", tuning_format}, {"device", measurements.device}, {"constants", values}};
  if (!measurements.observations.empty()) {
    file["limits"] = json_of(measurements.limits);
    Json& observations = file["observations"] = Json::array();
    for (const Observation& each : measurements.observations) observations.push_back(json_of(each));
  }
  return file.dump(1) + "\n";
}

Measurements read_measurements(const std::filesystem::path& path) {
  std::ifstream opened(path);
  if (!opened) throw_error(ErrorCode::io, "--fit", "a file that can be read", path.string());
  const Json file = Json::parse(opened, nullptr, /*allow_exceptions=*/false);
  if (file.is_discarded())
    throw_error(ErrorCode::format, path.string(), "JSON of `plasticity tune`", "other text");
  const Reader reader(path, "the file", file);
  if (const auto format = reader.get<std::string>("format", "a name"); format != tuning_format)
    reader.fail("format", str_cat('"', tuning_format, '"'), format);
  const Json limits = reader.get<Json>("limits", "an object"),
             observations = reader.get<Json>("observations", "an array");
  Measurements result{.device = reader.get<std::string>("device", "a name"),
                      .limits = limits_of(Reader(path, "limits", limits)),
                      .observations = {}};
  if (!observations.is_array() || observations.empty())
    reader.fail("observations", "an array of times", observations.dump());
  for (std::size_t k = 0; k < observations.size(); ++k) {
    const Reader entry(path, str_cat("observations[", k, ']'), observations[k]);
    result.observations.push_back(observation_of(entry, result.limits));
  }
  return result;
}

std::string describe_choices(const Measurements& measurements, const DeviceConstants& constants) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<const Observation*>> groups;
  for (const Observation& each : measurements.observations) {
    auto& group = groups[name_of(each)];
    if (group.empty()) names.push_back(name_of(each));
    group.push_back(&each);
  }
  std::string lines;
  for (const std::string& name : names) {
    const auto& group = groups[name];
    const CostModel model(group[0]->spec, group[0]->sizes, measurements.limits, constants);
    const auto estimated = [&](const Observation* each) { return estimate_of(model, each->candidate); };
    const Observation* chosen = *std::min_element(
        group.begin(), group.end(),
        [&](const auto* a, const auto* b) { return estimated(a).total() < estimated(b).total(); });
    const Observation* best = *std::min_element(group.begin(), group.end(), [](const auto* a, const auto* b) {
      return a->measured.total() < b->measured.total();
    });
    char line[256];
    const auto text = [](const Observation* each) {
      return str_cat(describe_shape(each->candidate), ", K=", each->candidate.interval);
    };
    std::snprintf(line, sizeof line, "%-44s %-58s %6.4g + %6.4g us, estimated %6.4g + %6.4g", name.c_str(),
                  text(chosen).c_str(), chosen->measured.forward, chosen->measured.backward,
                  estimated(chosen).forward, estimated(chosen).backward);
    lines += line;
    if (chosen != best) {
      std::snprintf(line, sizeof line, "; %.0f %% slower than %s",
                    100 * (chosen->measured.total() / best->measured.total() - 1), text(best).c_str());
      lines += line;
    }
    lines += '\n';
  }
  return lines;
}

}  // namespace plasticity::cuda
