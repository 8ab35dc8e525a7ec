#include "plasticity/linear.hpp"

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "device/cuda_api.hpp"
#include "device/profiler_range.hpp"
#include "plan/cpu_training.hpp"

namespace plasticity {
namespace {

template <class Args>
void check_linear_sizes(const Args& args) {
  const auto check = [](const char* name, std::int64_t size) {
    if (size < 0) bad_argument(name, "at least 0", str_cat(size));
  };
  check("args.rows", args.rows);
  check("args.inputs", args.inputs);
  check("args.outputs", args.outputs);
  check_product("size of args.x, rows * inputs", {args.rows, args.inputs});
  check_product("size of args.y, rows * outputs", {args.rows, args.outputs});
  check_product("size of args.weight, inputs * outputs", {args.inputs, args.outputs});
}

void check_pointer(const char* name, const void* pointer, std::int64_t rows, std::int64_t columns) {
  if (pointer == nullptr && rows > 0 && columns > 0)
    bad_argument(name, str_cat('[', rows, ',', columns, "] elements"), "null");
}

}  // namespace

void check_linear_batch(const LinearGradientArgs& args) {
  if (args.batch < 0) bad_argument("batch", "at least 0", str_cat(args.batch));
  if (args.batch > 0 && args.rows % args.batch != 0)
    bad_argument("batch", str_cat("a divisor of ", args.rows, ", the number of rows"), str_cat(args.batch));
}

std::size_t linear_scratch_bytes(Device device, std::int64_t inputs, std::int64_t outputs) {
  check_linear_sizes(LinearArgs{.inputs = inputs, .outputs = outputs});
  const CudaApi* api = cuda_api_of(device);
  return api == nullptr ? 0 : api->linear_scratch_bytes(device.index(), inputs, outputs);
}

void linear_forward(Device device, Stream stream, const LinearArgs& args) {
  const ProfilerRange range("plasticity::linear_forward");
  check_linear_sizes(args);
  check_pointer("args.x", args.x, args.rows, args.inputs);
  check_pointer("args.weight", args.weight, args.inputs, args.outputs);
  check_pointer("args.bias", args.bias, 1, args.outputs);
  check_pointer("args.y", args.y, args.rows, args.outputs);
  check_no_overlap({"args.y", args.y, args.rows * args.outputs},
                   {{"args.x", args.x, args.rows * args.inputs},
                    {"args.weight", args.weight, args.inputs * args.outputs},
                    {"args.bias", args.bias, args.outputs}});
  if (const CudaApi* api = cuda_api_of(device)) {
    api->linear_forward(device.index(), stream, args);
  } else {
    cpu::linear_forward(args);
  }
}

void linear_backward(Device device, Stream stream, const LinearGradientArgs& args, Scratch scratch) {
  const ProfilerRange range("plasticity::linear_backward");
  check_linear_sizes(args);
  check_pointer("args.x", args.x, args.rows, args.inputs);
  check_pointer("args.dy", args.dy, args.rows, args.outputs);
  check_pointer("args.dweight", args.dweight, args.inputs, args.outputs);
  check_pointer("args.dbias", args.dbias, 1, args.outputs);
  check_linear_batch(args);
  if (args.dx != nullptr) check_pointer("args.weight", args.weight, args.inputs, args.outputs);
  const NamedMemory x("args.x", args.x, args.rows * args.inputs),
      dy("args.dy", args.dy, args.rows * args.outputs),
      weight("args.weight", args.weight, args.inputs * args.outputs),
      dweight("args.dweight", args.dweight, args.inputs * args.outputs),
      dbias("args.dbias", args.dbias, args.outputs);
  check_no_overlap(dweight, {x, dy, weight, dbias});
  check_no_overlap(dbias, {x, dy, weight});
  check_no_overlap({"args.dx", args.dx, args.rows * args.inputs}, {x, dy, weight, dweight, dbias});
  check_memory("scratch", scratch, linear_scratch_bytes(device, args.inputs, args.outputs));
  if (const CudaApi* api = cuda_api_of(device)) {
    api->linear_backward(device.index(), stream, args, scratch);
  } else {
    cpu::linear_backward(args);
  }
}

}  // namespace plasticity
