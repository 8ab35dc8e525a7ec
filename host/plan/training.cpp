#include "plasticity/training.hpp"

#include <cmath>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "device/cuda_api.hpp"
#include "device/profiler_range.hpp"
#include "plan/cpu_training.hpp"

namespace plasticity {
namespace {

// The names of tensors are built only for an error.
void check_pointer(const void* pointer, std::int64_t elements, const char* name) {
  if (pointer == nullptr && elements > 0) bad_argument(name, str_cat(elements, " elements"), "null");
}
void check_pointer(const void* pointer, std::int64_t elements, const char* list, std::size_t index,
                   const char* field) {
  if (pointer != nullptr || elements <= 0) return;
  bad_argument(str_cat(list, '[', index, "].", field), str_cat(elements, " elements"), "null");
}
void check_elements(std::int64_t elements, const char* list, std::size_t index) {
  if (elements >= 0 && elements <= max_elements) return;
  bad_argument(str_cat(list, '[', index, "].elements"), "0 to 2^48", str_cat(elements));
}

}  // namespace

std::size_t training_scratch_bytes(Device device) {
  const CudaApi* api = cuda_api_of(device);
  return api == nullptr ? 0 : api->training_scratch_bytes();
}

void squared_error(Device device, Stream stream, const SquaredErrorArgs& args, Scratch scratch) {
  const ProfilerRange range("plasticity::squared_error");
  if (args.elements < 0) bad_argument("args.elements", "at least 0", str_cat(args.elements));
  check_product("args.elements", {args.elements});
  check_pointer(args.y, args.elements, "args.y");
  check_pointer(args.target, args.elements, "args.target");
  if (args.reduction < Reduction::mean || args.reduction > Reduction::relative) {
    bad_argument("args.reduction", "a value of its enumeration", str_cat(static_cast<int>(args.reduction)));
  }
  if (args.steps < 0) bad_argument("args.steps", "at least 0", str_cat(args.steps));
  if (args.batch < 0) bad_argument("args.batch", "at least 0", str_cat(args.batch));
  if (args.batch > 0 && args.elements > 0 &&
      (args.steps == 0 || args.elements % args.steps != 0 || args.elements / args.steps % args.batch != 0)) {
    bad_argument("args.elements", str_cat("a multiple of ", args.steps, " steps of ", args.batch, " samples"),
                 str_cat(args.elements));
  }
  const NamedMemory y("args.y", args.y, args.elements), target("args.target", args.target, args.elements),
      dy("args.dy", args.dy, args.elements);
  if (args.dy != args.y) check_no_overlap(dy, {y});
  if (args.dy != args.target) check_no_overlap(dy, {target});
  check_no_overlap(dy, {{"args.mask", args.mask, args.elements}});
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->squared_error(device.index(), stream, args, scratch);
  } else {
    cpu::squared_error(args);
  }
}

void softmax_cross_entropy(Device device, Stream stream, const CrossEntropyArgs& args, Scratch scratch) {
  const ProfilerRange range("plasticity::softmax_cross_entropy");
  if (args.rows < 0) bad_argument("args.rows", "at least 0", str_cat(args.rows));
  if (args.classes < 1) bad_argument("args.classes", "at least 1", str_cat(args.classes));
  if (args.rows > max_elements / args.classes) {
    bad_argument("args.rows",
                 str_cat("at most ", max_elements / args.classes, " of ", args.classes, " classes"),
                 str_cat(args.rows));
  }
  if (args.batch < 0) bad_argument("args.batch", "at least 0", str_cat(args.batch));
  if (args.batch > 0 && args.rows % args.batch != 0) {
    bad_argument("args.rows", str_cat("a multiple of ", args.batch, " samples"), str_cat(args.rows));
  }
  check_pointer(args.logits, args.rows * args.classes, "args.logits");
  check_pointer(args.labels, args.rows, "args.labels");
  check_no_overlap(
      {"args.dlogits", args.dlogits, args.rows * args.classes},
      {{"args.logits", args.logits, args.rows * args.classes}, {"args.labels", args.labels, args.rows}});
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->softmax_cross_entropy(device.index(), stream, args, scratch);
  } else {
    check_labels("args.labels", {args.labels, static_cast<std::size_t>(args.rows)}, args.classes);
    cpu::softmax_cross_entropy(args);
  }
}

void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors, double max_norm,
                    double* norm, Scratch scratch) {
  const ProfilerRange range("plasticity::clip_gradients");
  if (!(max_norm > 0)) bad_argument("max_norm", "a norm above 0", str_cat(max_norm));
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    check_elements(tensors[k].elements, "tensors", k);
    check_pointer(tensors[k].gradient, tensors[k].elements, "tensors", k, "gradient");
  }
  check_memory("scratch", scratch, training_scratch_bytes(device));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->clip_gradients(device.index(), stream, tensors, max_norm, norm, scratch);
  } else {
    cpu::clip_gradients(tensors, max_norm, norm);
  }
}

void find_not_finite(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                     std::int32_t* found) {
  const ProfilerRange range("plasticity::find_not_finite");
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    check_elements(tensors[k].elements, "tensors", k);
    check_pointer(tensors[k].gradient, tensors[k].elements, "tensors", k, "gradient");
  }
  if (found == nullptr) bad_argument("found", "a pointer", "null");
  if (const CudaApi* api = cuda_api_of(device)) {
    api->find_not_finite(device.index(), stream, tensors, found);
  } else {
    *found = cpu::find_not_finite(tensors);
  }
}

bool uses_first_moment(const UpdateOptions& options) {
  return options.method == Method::adam || options.momentum != 0;
}
bool uses_second_moment(const UpdateOptions& options) { return options.method != Method::sgd; }

UpdateScales update_scales(const UpdateOptions& options, std::int64_t step) {
  if (step < 1) bad_argument("step", "at least 1", str_cat(step));
  const auto rate = static_cast<float>(options.learning_rate);
  if (options.method != Method::adam) return {rate, 1, rate};
  const auto correction = [&](double beta) { return 1 - std::pow(beta, static_cast<double>(step)); };
  return {static_cast<float>(options.learning_rate / correction(options.beta1)),
          static_cast<float>(1 / std::sqrt(correction(options.beta2))), rate};
}

void update_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                 const UpdateOptions& options, const UpdateScales* scales, const std::int32_t* veto) {
  const ProfilerRange range("plasticity::update_step");
  if (options.method < Method::adam || options.method > Method::rmsprop) {
    bad_argument("options.method", "a value of its enumeration", str_cat(static_cast<int>(options.method)));
  }
  for (std::size_t k = 0; k < tensors.size(); ++k) {
    const TrainedTensor& tensor = tensors[k];
    check_elements(tensor.elements, "tensors", k);
    check_pointer(tensor.value, tensor.elements, "tensors", k, "value");
    check_pointer(tensor.gradient, tensor.elements, "tensors", k, "gradient");
    if (uses_first_moment(options)) check_pointer(tensor.first, tensor.elements, "tensors", k, "first");
    if (uses_second_moment(options)) check_pointer(tensor.second, tensor.elements, "tensors", k, "second");
  }
  if (scales == nullptr) bad_argument("scales", "a pointer", "null");
  if (const CudaApi* api = cuda_api_of(device)) {
    api->update_step(device.index(), stream, tensors, options, scales, veto);
  } else if (veto == nullptr || *veto == -1) {
    cpu::update_step(tensors, options, *scales);
  }
}

namespace {

UpdateOptions update_of(const AdamOptions& options) {
  return {.learning_rate = options.learning_rate,
          .beta1 = options.beta1,
          .beta2 = options.beta2,
          .epsilon = options.epsilon};
}

}  // namespace

AdamScales adam_scales(const AdamOptions& options, std::int64_t step) {
  return update_scales(update_of(options), step);
}

void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
               const AdamOptions& options, const AdamScales* scales) {
  update_step(device, stream, tensors, update_of(options), scales);
}

}  // namespace plasticity
