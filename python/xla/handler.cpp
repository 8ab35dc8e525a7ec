// The functions that XLA calls for plasticity.jax: one for the CPU, one for CUDA.
//
// The attribute `names` has the names of the tensors in the C interface, arguments first. Leading axes that a
// tensor has beyond its own are those of vmap: the call runs once per element of them. The results "tape" and
// "scratch" are memory of the plan. "dparameters.*" are set to zero first, since a plan adds to them.
#include <plasticity/plasticity.h>

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "xla_ffi.hpp"

namespace plasticity::xla {
namespace {

struct Failure {
  ErrorKind kind;
  std::string message;
};

ErrorKind error_kind_of(plasticity_status status) {
  switch (status) {
    case PLASTICITY_OUT_OF_MEMORY: return ErrorKind::resource_exhausted;
    case PLASTICITY_UNSUPPORTED: return ErrorKind::unimplemented;
    case PLASTICITY_DEVICE_UNAVAILABLE: return ErrorKind::unavailable;
    case PLASTICITY_INTERNAL: return ErrorKind::internal;
    default: return ErrorKind::invalid_argument;
  }
}

void check(plasticity_status status) {
  if (status != PLASTICITY_OK) throw Failure{error_kind_of(status), plasticity_last_error()};
}

/// Returns the value of an attribute. Its type is that of the kind: Array, Scalar or Text.
const void* attribute(const Attributes& attributes, std::string_view name, AttributeKind kind) {
  for (std::int64_t k = 0; k < attributes.count; ++k) {
    const Text& key = *attributes.names[k];
    if (std::string_view(key.data, key.size) != name) continue;
    if (attributes.kinds[k] == kind) return attributes.values[k];
  }
  throw Failure{ErrorKind::invalid_argument,
                "attribute " + std::string(name) + ": expected one, got none of its kind"};
}

/// The numbers of the attribute `plan`, in the order of _foreign() (python/plasticity/jax/_functional.py).
struct PlanNumber {
  enum : std::size_t {
    cell,
    rule,
    rate,
    eligibility,
    alpha,
    activation,
    modulator_source,
    inputs,
    neurons,
    steps,
    batch,
    precision,
    threads,
    checkpoint_interval,
    memory_budget,
    execution,
    count
  };
};

struct PlanKey {
  std::array<std::int64_t, PlanNumber::count> numbers;
  double clip;
  int cuda_device;  // -1: the CPU
  auto operator<=>(const PlanKey&) const = default;
};

struct Plan {
  plasticity_spec spec{};
  std::int64_t steps = 0, batch = 0;
  plasticity_plan* handle = nullptr;
  ~Plan() { plasticity_plan_destroy(handle); }
};

std::shared_ptr<const Plan> make_plan(const PlanKey& key, plasticity_device device) {
  using Number = PlanNumber;
  const auto& number = key.numbers;
  auto plan = std::make_shared<Plan>();
  plan->steps = number[Number::steps];
  plan->batch = number[Number::batch];
  plasticity_spec_init(&plan->spec);
  plan->spec = {
      .cell = static_cast<plasticity_cell>(number[Number::cell]),
      .rule = static_cast<plasticity_rule>(number[Number::rule]),
      .rate = static_cast<plasticity_rate>(number[Number::rate]),
      .eligibility = static_cast<plasticity_eligibility>(number[Number::eligibility]),
      .alpha = static_cast<plasticity_granularity>(number[Number::alpha]),
      .activation = static_cast<plasticity_activation>(number[Number::activation]),
      .modulator_source = static_cast<plasticity_modulator_source>(number[Number::modulator_source]),
      .inputs = number[Number::inputs],
      .neurons = number[Number::neurons],
      .clip = key.clip};
  plasticity_plan_options options;
  plasticity_plan_options_init(&options);
  options.steps = plan->steps;
  options.batch = plan->batch;
  options.device = device;
  options.threads = static_cast<std::int32_t>(number[Number::threads]);
  options.precision = static_cast<plasticity_precision>(number[Number::precision]);
  options.checkpoint_interval = number[Number::checkpoint_interval];
  options.memory_budget = static_cast<std::uint64_t>(number[Number::memory_budget]);
  options.execution = static_cast<plasticity_execution>(number[Number::execution]);
  check(plasticity_plan_create(&plan->spec, &options, &plan->handle));
  plasticity_execution chosen{};
  check(plasticity_plan_execution(plan->handle, &chosen));
  if (chosen == PLASTICITY_EXECUTION_GRAPH && options.execution == PLASTICITY_EXECUTION_AUTOMATIC) {
    // A captured graph belongs to the addresses of one call, and XLA's change. step has the same bits.
    plasticity_plan_destroy(plan->handle);
    plan->handle = nullptr;
    options.execution = PLASTICITY_EXECUTION_STEP;
    check(plasticity_plan_create(&plan->spec, &options, &plan->handle));
  }
  return plan;
}

/// Returns the plan for a call. Plans are kept and shared.
std::shared_ptr<const Plan> plan_for(const Attributes& attributes, plasticity_device device) {
  constexpr std::size_t max_plans = 256;
  static std::mutex mutex;
  static std::map<PlanKey, std::shared_ptr<const Plan>> plans;
  const auto& numbers = *static_cast<const Array*>(attribute(attributes, "plan", AttributeKind::array));
  const auto& clip = *static_cast<const Scalar*>(attribute(attributes, "clip", AttributeKind::scalar));
  if (numbers.type != s64 || numbers.size != PlanNumber::count || clip.type != f64) {
    throw Failure{ErrorKind::invalid_argument, "attribute plan: expected " +
                                                   std::to_string(PlanNumber::count) +
                                                   " numbers of int64, and clip of float64"};
  }
  PlanKey key{.numbers = {},
              .clip = *static_cast<const double*>(clip.value),
              .cuda_device = device.kind == PLASTICITY_CPU ? -1 : device.index};
  std::copy_n(static_cast<const std::int64_t*>(numbers.data), key.numbers.size(), key.numbers.begin());
  const std::lock_guard lock(mutex);
  if (const auto found = plans.find(key); found != plans.end()) return found->second;
  auto plan = make_plan(key, device);
  if (plans.size() >= max_plans) plans.clear();
  plans.emplace(key, plan);
  return plan;
}

/// A tensor of the call. Under vmap it has leading axes, along which it moves from element to element.
struct Tensor {
  std::string name;
  plasticity_tensor view{};                // of element 0
  std::int64_t bytes = 1;                  // of one element
  std::vector<std::int64_t> vmap_sizes{};  // of the leading axes: 1 if all elements share it
  bool is_result = false;

  /// Returns the data of an element, a row-major index into axes of these sizes.
  void* data_of(std::int64_t element, const std::vector<std::int64_t>& sizes) const {
    std::int64_t offset = 0, stride = bytes;
    for (std::size_t axis = sizes.size(); axis-- > 0;) {
      if (vmap_sizes[axis] > 1) {
        offset += element % sizes[axis] * stride;
        stride *= vmap_sizes[axis];
      }
      element /= sizes[axis];
    }
    return static_cast<std::byte*>(view.data) + offset;
  }
};

plasticity_dtype dtype_of(DataType type, const std::string& name) {
  switch (type) {
    case boolean: return {PLASTICITY_BOOL, 8, 1};
    case u8: return {PLASTICITY_UINT, 8, 1};
    case s32: return {PLASTICITY_INT, 32, 1};
    case s64: return {PLASTICITY_INT, 64, 1};
    case f32: return {PLASTICITY_FLOAT, 32, 1};
    case f64: return {PLASTICITY_FLOAT, 64, 1};
  }
  throw Failure{ErrorKind::invalid_argument,
                name + ".dtype: expected float32, float64, uint8, bool or int64"};
}

bool is_memory(const std::string& name) { return name == "tape" || name == "scratch"; }

Tensor make_tensor(const Plan& plan, std::string name, const Buffer& buffer, plasticity_device device,
                   bool is_result) {
  Tensor tensor{.name = std::move(name), .is_result = is_result};
  std::int32_t own_axes = 1;
  if (!is_memory(tensor.name)) {
    std::array<std::int64_t, PLASTICITY_MAX_AXES> shape{};
    check(plasticity_spec_shape(&plan.spec, plan.steps, plan.batch, tensor.name.c_str(), shape.data(),
                                &own_axes));
  }
  // JAX without 64-bit types passes a length as a pair of int32, which lie in memory as one int64 does.
  const bool pairs = tensor.name == "masks.length" && buffer.type == s32;
  if (pairs) own_axes = 2;
  if (own_axes == 0 || buffer.rank < own_axes) {
    throw Failure{ErrorKind::invalid_argument, tensor.name + ".shape: expected " + std::to_string(own_axes) +
                                                   " axes, got " + std::to_string(buffer.rank)};
  }
  const std::int64_t vmap_axes = buffer.rank - own_axes;
  tensor.vmap_sizes.assign(buffer.sizes, buffer.sizes + vmap_axes);
  tensor.view = {.data = buffer.data,
                 .device = device,
                 .ndim = own_axes,
                 .dtype = dtype_of(buffer.type, tensor.name),
                 .shape = buffer.sizes + vmap_axes,
                 .strides = nullptr,
                 .byte_offset = 0};
  tensor.bytes = tensor.view.dtype.bits / 8;
  for (std::int32_t axis = 0; axis < own_axes; ++axis) tensor.bytes *= tensor.view.shape[axis];
  if (pairs) {
    tensor.view.ndim = 1;
    tensor.view.dtype = {PLASTICITY_INT, 64, 1};
  }
  return tensor;
}

std::vector<Tensor> tensors_of(const CallFrame& frame, const Plan& plan, plasticity_device device) {
  const auto& names = *static_cast<const Text*>(attribute(frame.attributes, "names", AttributeKind::text));
  std::string_view rest(names.data, names.size);
  std::vector<Tensor> tensors;
  for (const Buffers* list : {&frame.arguments, &frame.results}) {
    for (std::int64_t k = 0; k < list->count; ++k) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      tensors.push_back(make_tensor(plan, std::string(rest.substr(0, end)),
                                    *static_cast<const Buffer*>(list->buffers[k]), device,
                                    list == &frame.results));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return tensors;
}

/// Adds leading axes of size 1, so that all tensors have the same number, and returns the sizes of these
/// axes.
std::vector<std::int64_t> align_vmap_axes(std::vector<Tensor>& tensors) {
  std::size_t axes = 0;
  for (const Tensor& tensor : tensors) axes = std::max(axes, tensor.vmap_sizes.size());
  std::vector<std::int64_t> sizes(axes, 1);
  for (Tensor& tensor : tensors) {
    tensor.vmap_sizes.insert(tensor.vmap_sizes.begin(), axes - tensor.vmap_sizes.size(), 1);
    for (std::size_t axis = 0; axis < axes; ++axis) {
      if (tensor.vmap_sizes[axis] != 1) sizes[axis] = tensor.vmap_sizes[axis];
    }
  }
  return sizes;
}

/// Runs the call once per element of the axes of vmap.
void run(const CallFrame& frame, plasticity_device device, void* stream) {
  const auto plan = plan_for(frame.attributes, device);
  const auto& function =
      *static_cast<const Text*>(attribute(frame.attributes, "function", AttributeKind::text));
  const bool backward = std::string_view(function.data, function.size) == "backward";
  std::vector<Tensor> tensors = tensors_of(frame, *plan, device);
  const std::vector<std::int64_t> sizes = align_vmap_axes(tensors);
  std::int64_t elements = 1;
  for (const std::int64_t size : sizes) elements *= size;

  std::vector<plasticity_tensor> views(tensors.size());
  for (std::int64_t element = 0; element < elements; ++element) {
    plasticity_memory tape{nullptr, 0}, scratch{nullptr, 0};
    std::vector<plasticity_argument> arguments;
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      const Tensor& tensor = tensors[k];
      views[k] = tensor.view;
      views[k].data = tensor.data_of(element, sizes);
      const auto bytes = static_cast<std::size_t>(tensor.bytes);
      if (tensor.name == "tape") {
        tape = {views[k].data, bytes};
      } else if (tensor.name == "scratch") {
        scratch = {views[k].data, bytes};
      } else {
        arguments.push_back({tensor.name.c_str(), &views[k]});
      }
      if (tensor.is_result && tensor.name.starts_with("dparameters.")) {
        check(plasticity_fill_zero(device, stream, views[k].data, bytes));
      }
    }
    check((backward ? plasticity_plan_backward : plasticity_plan_forward)(
        plan->handle, stream, arguments.data(), arguments.size(), tape, scratch));
  }
}

Error* answer_metadata(const CallFrame& frame, MetadataRequest& request) {
  Version& version = request.metadata->version;
  version.header = {sizeof(Version), nullptr};
  version.major = 0;
  version.minor = frame.api != nullptr ? frame.api->version.minor : 1;
  request.metadata->traits = 0;
  return nullptr;
}

Error* handle(CallFrame* frame, bool on_gpu) {
  if (frame->header.extension != nullptr && frame->header.extension->type == metadata_extension) {
    return answer_metadata(*frame, *reinterpret_cast<MetadataRequest*>(frame->header.extension));
  }
  Failure failure{ErrorKind::internal, "plasticity: an exception of an unknown type"};
  try {
    plasticity_device device{PLASTICITY_CPU, 0};
    void* stream = nullptr;
    if (on_gpu) {
      StreamRequest of_stream{{sizeof(StreamRequest), nullptr}, frame->context, nullptr};
      if (Error* error = frame->api->get_stream(&of_stream)) return error;
      stream = of_stream.stream;
      device = {PLASTICITY_CUDA, 0};
      OrdinalRequest of_device{{sizeof(OrdinalRequest), nullptr}, frame->context, 0};
      if (frame->api->header.size >= sizeof(Api)) {
        if (Error* error = frame->api->get_ordinal(&of_device)) return error;
        device.index = of_device.ordinal;
      }
    }
    run(*frame, device, stream);
    return nullptr;
  } catch (const Failure& caught) {
    failure = caught;
  } catch (const std::exception& caught) {
    failure.message = caught.what();
  }
  ErrorRequest request{{sizeof(ErrorRequest), nullptr}, failure.message.c_str(), failure.kind};
  return frame->api->create_error(&request);
}

}  // namespace
}  // namespace plasticity::xla

extern "C" {
PLASTICITY_API plasticity::xla::Error* plasticity_xla_cpu(plasticity::xla::CallFrame* frame) {
  return plasticity::xla::handle(frame, false);
}
PLASTICITY_API plasticity::xla::Error* plasticity_xla_cuda(plasticity::xla::CallFrame* frame) {
  return plasticity::xla::handle(frame, true);
}
}
