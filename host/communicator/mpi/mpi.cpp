// The communicator of MPI processes. MPI moves bytes between two processes; it adds nothing.
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>
#include <thread>

#include "communicator/mpi/session.hpp"
#include "communicator/mpi_api.hpp"
#include "communicator/time_limit.hpp"

namespace plasticity {
namespace {

using namespace mpi;
constexpr std::size_t max_message = std::size_t{1} << 30;  // bytes; MPI counts in int
constexpr int note_tag = 1;
constexpr std::size_t note_bytes = 512;

class MpiCommunicator final : public Communicator {
 public:
  /// `ranks` and `notes` are duplicates of MPI_COMM_WORLD, which this object owns.
  MpiCommunicator(int rank, int size, const CommunicatorOptions& options, MPI_Comm ranks, MPI_Comm notes)
      : Communicator(rank, size, options),
        ranks_(ranks),
        notes_(notes),
        exceptions_(std::uncaught_exceptions()) {}

  /// If an exception ends this rank, tells the others. The duplicates are released by MPI_Finalize:
  /// MPI_Comm_free is collective.
  ~MpiCommunicator() override {
    if (!has_failed() && std::uncaught_exceptions() > exceptions_) {
      session().failed = true;
      tell_all(str_cat("rank ", rank(), ": ended with an exception"));
    }
  }

  [[noreturn]] void abort(int exit_code) override {
    std::this_thread::sleep_for(output_time);
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 protected:
  void exchange(Call call, std::span<const std::span<const std::byte>> send,
                std::span<const std::span<std::byte>> receive) override {
    ++calls_;
    const int tag = static_cast<int>(calls_ % 4096) * 8 + static_cast<int>(call);
    requests_.clear();
    peers_.clear();
    for (int k = 1; k < size(); ++k) {
      const int from = (rank() + size() - k) % size();
      for_messages(receive[static_cast<std::size_t>(from)], [&](std::span<std::byte> part) {
        start(from, part.size(), call, [&](MPI_Request* request) {
          return MPI_Irecv(part.data(), static_cast<int>(part.size()), MPI_BYTE, from, MPI_ANY_TAG, ranks_,
                           request);
        });
      });
    }
    const std::size_t receives = requests_.size();
    for (int k = 1; k < size(); ++k) {
      const int to = (rank() + k) % size();
      for_messages(send[static_cast<std::size_t>(to)], [&](std::span<const std::byte> part) {
        start(to, part.size(), call, [&](MPI_Request* request) {
          return MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, to, tag, ranks_, request);
        });
      });
    }
    wait(call, tag, receives);
  }

 private:
  struct Peer {
    int rank;
    std::size_t bytes;
  };

  /// Calls work(part) for the parts of a block that are one message each.
  template <class Byte, class Work>
  static void for_messages(std::span<Byte> block, const Work& work) {
    for (std::size_t first = 0; first < block.size(); first += max_message)
      work(block.subspan(first, std::min(max_message, block.size() - first)));
  }

  template <class Start>
  void start(int peer, std::size_t bytes, Call call, const Start& start_request) {
    MPI_Request request = MPI_REQUEST_NULL;
    const int error = start_request(&request);
    requests_.push_back(request);
    peers_.push_back({peer, bytes});
    if (error != MPI_SUCCESS)
      fail_all(str_cat("rank ", peer, ": ", name_of(call), " failed: ", describe(error)));
  }

  /// Polls until all requests are complete. The first `receives` are receives.
  void wait(Call call, int tag, std::size_t receives) {
    const Clock::time_point deadline = Clock::now() + time_limit();
    Pause pause;
    for (std::size_t left = requests_.size();; pause()) {
      for (std::size_t k = 0; k < requests_.size(); ++k) {
        if (requests_[k] == MPI_REQUEST_NULL) continue;
        int done = 0;
        MPI_Status status;
        const int error = MPI_Test(&requests_[k], &done, &status);
        if (error != MPI_SUCCESS) fail_request(call, peers_[k], error);
        if (done == 0) continue;
        --left;
        if (k < receives) check_message(call, tag, peers_[k], status);
      }
      if (left == 0) return;
      read_note();
      if (Clock::now() >= deadline) fail_late(call);
    }
  }

  /// Fails unless the message comes from the same call with the same size.
  void check_message(Call call, int tag, const Peer& peer, const MPI_Status& status) {
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    if (status.MPI_TAG == tag && static_cast<std::size_t>(bytes) == peer.bytes) return;
    fail_all(str_cat("rank ", peer.rank, ": expected ", name_of(call), " with ", peer.bytes,
                     " bytes for rank ", rank(), ", got ", name_of(static_cast<Call>(status.MPI_TAG % 8)),
                     " with ", bytes, " bytes"));
  }

  [[noreturn]] void fail_request(Call call, const Peer& peer, int error) {
    int kind = MPI_SUCCESS;
    MPI_Error_class(error, &kind);
    if (kind == MPI_ERR_TRUNCATE) {
      fail_all(str_cat("rank ", peer.rank, ": expected ", name_of(call), " with ", peer.bytes,
                       " bytes for rank ", rank(), ", got more"));
    }
    fail_all(str_cat("rank ", peer.rank, ": expected ", name_of(call), ", got an error: ", describe(error)));
  }

  /// Names the ranks with a request that is not complete.
  [[noreturn]] void fail_late(Call call) {
    std::set<int> missing;
    for (std::size_t k = 0; k < requests_.size(); ++k) {
      if (requests_[k] != MPI_REQUEST_NULL) missing.insert(peers_[k].rank);
    }
    fail_all(late_message({missing.begin(), missing.end()}, name_of(call), time_limit()));
  }

  /// Tells the other ranks why this one fails, and fails. Requests stay in flight: the buffers must live
  /// until the program ends, which should be soon.
  [[noreturn]] void fail_all(const std::string& message) {
    session().failed = true;
    for (MPI_Request& request : requests_) {
      if (request != MPI_REQUEST_NULL) MPI_Cancel(&request);
    }
    tell_all(message);
    fail(message);
  }

  void tell_all(const std::string& message) {
    static std::array<char, note_bytes> note;  // MPI reads it after this call
    note.fill('\0');
    std::memcpy(note.data(), message.data(), std::min(message.size(), note.size() - 1));
    for (int r = 0; r < size(); ++r) {
      if (r == rank()) continue;
      MPI_Request request = MPI_REQUEST_NULL;
      if (MPI_Isend(note.data(), static_cast<int>(note.size()), MPI_CHAR, r, note_tag, notes_, &request) ==
          MPI_SUCCESS)
        MPI_Request_free(&request);
    }
  }

  /// Fails with the message of another rank, if one has arrived.
  void read_note() {
    int arrived = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, note_tag, notes_, &arrived, &status) != MPI_SUCCESS || arrived == 0)
      return;
    std::array<char, note_bytes> text{};
    MPI_Recv(text.data(), static_cast<int>(text.size()), MPI_CHAR, status.MPI_SOURCE, note_tag, notes_,
             MPI_STATUS_IGNORE);
    text.back() = '\0';
    session().failed = true;
    fail(text.data());
  }

  MPI_Comm ranks_, notes_;
  int exceptions_;
  std::uint64_t calls_ = 0;
  std::vector<MPI_Request> requests_{};
  std::vector<Peer> peers_{};
};

std::unique_ptr<Communicator> make(const CommunicatorOptions& options) {
  Session& use = session(options.time_limit);
  use.time_limit = options.time_limit;
  if (const std::vector<int> missing = missing_ranks(begin_tag, options.time_limit); !missing.empty()) {
    use.failed = true;
    throw Error(ErrorCode::communication, late_message(missing, "its start", options.time_limit));
  }
  MPI_Comm ranks = MPI_COMM_NULL, notes = MPI_COMM_NULL;
  for (MPI_Comm* copy : {&ranks, &notes}) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Comm_idup(MPI_COMM_WORLD, copy, &request), "MPI_Comm_idup");
    if (!completes(request, options.time_limit)) {
      use.failed = true;  // a rank has stopped since it began; MPI does not report which
      throw_error(ErrorCode::communication, "MPI",
                  str_cat("all ranks to begin within ", to_string(options.time_limit)), "fewer");
    }
    check(MPI_Comm_set_errhandler(*copy, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  int rank = 0, size = 1;
  check(MPI_Comm_rank(ranks, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(ranks, &size), "MPI_Comm_size");
  return std::make_unique<MpiCommunicator>(rank, size, options, ranks, notes);
}

constexpr MpiApi api{.make = make};

}  // namespace
}  // namespace plasticity

// The linker option `-u` names this symbol. It makes the linker take this file, with the registration, from a
// static library.
extern "C" {
extern PLASTICITY_API const int plasticity_mpi_registration;
const int plasticity_mpi_registration = (plasticity::register_mpi_api(plasticity::api), 1);
}
