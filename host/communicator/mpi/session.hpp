#pragma once

#include <mpi.h>

#include <chrono>
#include <string>
#include <vector>

// The start and the end of MPI in this process, and waits with a time limit.
namespace plasticity::mpi {

using Clock = std::chrono::steady_clock;
/// mpirun may lose output that it has not read, and other ranks can report their error in this time.
constexpr std::chrono::milliseconds output_time{250};
constexpr int begin_tag = 20556, end_tag = 20557;  // on MPI_COMM_WORLD, which the program may use too

std::string describe(int error);
/// Throws Error(communication) unless `error` is MPI_SUCCESS.
void check(int error, const char* call);

/// Waits a moment: first it only calls the scheduler, then it sleeps, so that more ranks than processors make
/// progress.
class Pause {
 public:
  void operator()();

 private:
  int count_ = 0;
};

/// Polls until a request is complete. Returns false at the time limit.
bool completes(MPI_Request request, std::chrono::milliseconds time_limit);

/// Sends a message to every other rank and waits for theirs. Returns the ranks that are missing at the time
/// limit.
std::vector<int> missing_ranks(int tag, std::chrono::milliseconds time_limit);

/// The use of MPI by this process. Initialises MPI if the program has not, and then finalises it when the
/// program ends. MPI_Init and MPI_Finalize wait for all ranks without a limit, so a thread ends the process
/// at the time limit.
class Session {
 public:
  explicit Session(std::chrono::milliseconds limit);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  bool failed = false;                   // a rank has failed: MPI_Abort instead of MPI_Finalize
  std::chrono::milliseconds time_limit;  // of the last communicator

 private:
  bool all_end() const;

  bool owns_ = false;
};

/// The session of this process. The first call, which has a time limit, begins it.
Session& session(std::chrono::milliseconds time_limit = {});

}  // namespace plasticity::mpi
