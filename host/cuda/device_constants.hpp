#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

// The constants of the cost model (cost_model.hpp), and the file of `plasticity tune` that replaces them.
namespace plasticity::cuda {

/// Times in µs, rates per µs. Rates of L2 and of issue are per multiprocessor, so that they scale with the
/// device. "Measured": by device_ceilings on an H200, 2026-11-27. "Calculated": not measured. The others were
/// fitted to times on the same H200 (bench/results/2026-11-27_gpu_h200_tuning.json).
struct DeviceConstants {
  double launch = 3.3;                     ///< measured: the host puts one kernel on a stream
  double graph_launch = 10;                ///< calculated: the host launches a graph
  double kernel_gap = 0.54;                ///< measured: from one kernel to the next in a graph
  double stream_gap = 0.919;               ///< a kernel in a stream takes that much longer than in a graph
  double issue_rate = 7920;                ///< calculated: warp instructions of a multiprocessor, 4 per clock
  double warp_gap = 0.00453;               ///< between two instructions of one warp in a loop
  double l2_rate = 62000;                  ///< measured: bytes from L2 of a multiprocessor
  double memory_share = 0.82;              ///< measured: of the memory's rate that a copy reaches
  double l2_latency = 0.42;                ///< of a load from L2 in a pass
  double step_forward_outside = 2.47;      ///< a step kernel outside its pass, and the gap before it
  double step_backward_outside = 6.2;      ///< as above
  double step_wait = 0.231;                ///< a thread of a step kernel waits for loaded rows
  double step_row = 0.26;                  ///< a thread of a step kernel, per row
  double resident_forward_rate = 3550;     ///< warp instructions of a multiprocessor in a pass
  double resident_backward_rate = 2710;    ///< as above
  double resident_forward_outside = 1.39;  ///< a resident step outside its pass, without barrier
  double resident_backward_outside = 3.21;  ///< as above
  double cluster_barrier = 0.45;            ///< measured: a barrier of a cluster, with stores
  double grid_barrier = 1.55;               ///< a barrier of a cooperative launch, with the exchange
  double modulator = 0.00147;               ///< per neuron that the modulator reads

  bool operator==(const DeviceConstants&) const = default;

  struct Member {
    std::string_view name;
    double DeviceConstants::*pointer;
    double prior_weight;  ///< of the built-in value in a fit, see fit_constants()
  };
  static const std::array<Member, 20>& members();
};

/// The format that a tuning file names.
constexpr const char* tuning_format = "plasticity tuning 2";

/// Reads a tuning file. A constant that it leaves out keeps its built-in value. Throws Error(io) if the file
/// cannot be read, and Error(format) that names the file, the key and the expected value.
DeviceConstants read_tuning(const std::filesystem::path& path);

/// The constants of the file that PLASTICITY_TUNING_FILE names, or the built-in ones. Reads the variable at
/// each call, and throws as read_tuning().
DeviceConstants current_constants();

}  // namespace plasticity::cuda
