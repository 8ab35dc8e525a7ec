#include "common/check.hpp"
#include "cuda/blas.hpp"
#include "cuda/runtime.hpp"
#include "cuda/training.hpp"
#include "product/launch.hpp"
#include "reduce/launch.hpp"

namespace plasticity::cuda {
std::size_t linear_scratch_bytes(int index, std::int64_t inputs, std::int64_t outputs) {
  const CurrentDevice current(index);
  BlasHandle::of(index);  // not in linear_backward(), which may run while a graph is captured
  Arena counter(nullptr);
  BlasWorkspace::take(counter, inputs * outputs);
  return counter.bytes();
}

void run_linear_forward(int index, Stream stream, const LinearArgs& args) {
  const CurrentDevice current(index);
  check_device_pointer(index, "args", "x", args.x);
  check_device_pointer(index, "args", "weight", args.weight);
  check_device_pointer(index, "args", "bias", args.bias);
  check_device_pointer(index, "args", "y", args.y);
  check_blocks("args.rows", product_blocks(args.rows, args.outputs));
  launch_product({.M = args.rows,
                  .N = args.outputs,
                  .K = args.inputs,
                  .a = {args.x, args.inputs, 1},
                  .b = {args.weight, args.outputs, 1},
                  .bias = args.bias,
                  .addend = nullptr,
                  .c = args.y},
                 stream.handle);
}

void run_linear_backward(int index, Stream stream, const LinearGradientArgs& args, Scratch scratch) {
  const CurrentDevice current(index);
  check_device_pointer(index, "args", "x", args.x);
  check_device_pointer(index, "args", "weight", args.weight);
  check_device_pointer(index, "args", "dy", args.dy);
  check_device_pointer(index, "args", "dweight", args.dweight);
  check_device_pointer(index, "args", "dbias", args.dbias);
  check_device_pointer(index, "args", "dx", args.dx);
  check_device_pointer(index, "scratch", "data", scratch.data);
  check_no_earlier_error();
  check_blocks("args.rows", product_blocks(args.rows, args.inputs));
  {
    Arena arena(scratch.data);
    const Blas blas(BlasHandle::of(index), stream.handle,
                    BlasWorkspace::take(arena, args.inputs * args.outputs));
    blas.add_product({.rows = args.inputs,
                      .columns = args.outputs,
                      .depth = args.rows,
                      .a = args.x,
                      .b = args.dy,
                      .b_stride = args.outputs,
                      .c = args.dweight,
                      .c_stride = args.outputs});
  }
  SumList sums;
  sums.add({args.dy, args.rows, args.outputs, args.dbias, false});
  launch_sums(sums, stream.handle);
  if (args.dx == nullptr) return;
  launch_product({.M = args.rows,
                  .N = args.inputs,
                  .K = args.outputs,
                  .a = {args.dy, args.outputs, 1},
                  .b = {args.weight, 1, args.outputs},
                  .bias = nullptr,
                  .addend = nullptr,
                  .c = args.dx},
                 stream.handle);
}

}  // namespace plasticity::cuda
