#include "communicator/mpi/session.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "communicator/time_limit.hpp"

namespace plasticity::mpi {
namespace {

/// Ends this process with `message` at the time limit, unless it is destroyed before.
class Watchdog {
 public:
  Watchdog(std::chrono::milliseconds time_limit, const std::string& message)
      : thread_([this, time_limit, message] {
          std::unique_lock lock(mutex_);
          if (changed_.wait_for(lock, time_limit, [this] { return stopped_; })) return;
          std::fputs((message + "\n").c_str(), stderr);
          std::this_thread::sleep_for(output_time);
          std::_Exit(1);
        }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  std::mutex mutex_{};
  std::condition_variable changed_{};
  bool stopped_ = false;
  std::thread thread_;  // last: it uses the others
};

/// Returns "rank 3" by the variables of the launcher, or "a rank". MPI_Comm_rank() works only after MPI_Init.
std::string rank_of_launcher() {
  for (const char* name : {"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK"})
    if (const char* value = std::getenv(name); value != nullptr) return str_cat("rank ", value);
  return "a rank";
}

}  // namespace

std::string describe(int error) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(error, text, &length) != MPI_SUCCESS) return str_cat("MPI error ", error);
  std::string message(text, static_cast<std::size_t>(length));
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

void check(int error, const char* call) {
  if (error != MPI_SUCCESS) throw Error(ErrorCode::communication, str_cat(call, ": ", describe(error)));
}

void Pause::operator()() {
  if (++count_ < 2000) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

bool completes(MPI_Request request, std::chrono::milliseconds time_limit) {
  const Clock::time_point deadline = Clock::now() + time_limit;
  for (Pause pause;; pause()) {
    int done = 0;
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Test");
    if (done != 0) return true;
    if (Clock::now() >= deadline) return false;
  }
}

std::vector<int> missing_ranks(int tag, std::chrono::milliseconds time_limit) {
  int rank = 0, size = 1;
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  std::vector<MPI_Request> requests(static_cast<std::size_t>(size), MPI_REQUEST_NULL);
  for (int r = 0; r < size; ++r) {
    MPI_Request send = MPI_REQUEST_NULL;
    if (r == rank) continue;
    check(MPI_Irecv(nullptr, 0, MPI_BYTE, r, tag, MPI_COMM_WORLD, &requests[static_cast<std::size_t>(r)]),
          "MPI_Irecv");
    check(MPI_Isend(nullptr, 0, MPI_BYTE, r, tag, MPI_COMM_WORLD, &send), "MPI_Isend");
    check(MPI_Request_free(&send), "MPI_Request_free");
  }
  const Clock::time_point deadline = Clock::now() + time_limit;
  for (Pause pause;; pause()) {
    std::vector<int> missing;
    for (int r = 0; r < size; ++r) {
      int done = 0;
      check(MPI_Test(&requests[static_cast<std::size_t>(r)], &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done == 0) missing.push_back(r);
    }
    if (missing.empty() || Clock::now() >= deadline) return missing;
  }
}

Session::Session(std::chrono::milliseconds limit) : time_limit(limit) {
  int initialised = 0;
  check(MPI_Initialized(&initialised), "MPI_Initialized");
  if (initialised != 0) return;
  int provided = 0;
  // MPI does not report which rank is missing. It is the one that does not print this.
  const Watchdog watchdog(limit,
                          str_cat("MPI_Init on ", rank_of_launcher(), ": expected all ranks to begin within ",
                                  to_string(limit), ", got fewer: those that print no such line"));
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  owns_ = true;
  // MPI_Test() reports the error of a request to these communicators, not to that of the request.
  for (MPI_Comm each : {MPI_COMM_WORLD, MPI_COMM_SELF})
    check(MPI_Comm_set_errhandler(each, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

Session::~Session() {
  int finalised = 0;
  if (!owns_ || MPI_Finalized(&finalised) != MPI_SUCCESS || finalised != 0) return;
  if (failed || !all_end()) MPI_Abort(MPI_COMM_WORLD, 1);
  const Watchdog watchdog(time_limit, str_cat("MPI_Finalize: expected all ranks to end within ",
                                              to_string(time_limit), ", got fewer"));
  MPI_Finalize();
}

/// Waits until all ranks are at their end. Otherwise prints which are missing and returns false.
bool Session::all_end() const {
  try {
    const std::vector<int> missing = missing_ranks(end_tag, time_limit);
    if (missing.empty()) return true;
    std::fputs((late_message(missing, "its end", time_limit) + "\n").c_str(), stderr);
    std::this_thread::sleep_for(output_time);
  } catch (const Error&) {  // MPI has failed, so the rank aborts
  }
  return false;
}

Session& session(std::chrono::milliseconds time_limit) {
  static Session only(time_limit);
  return only;
}

}  // namespace plasticity::mpi
