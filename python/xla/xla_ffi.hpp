#pragma once

#include <cstddef>
#include <cstdint>

// The part of XLA's C interface for foreign functions ("typed FFI", major version 0) that the handlers use:
// the layout of the structs that XLA passes to a handler, in declarations of our own. JAX ships headers for
// it; with these instead the package needs no JAX when it is built, and one library serves every version of
// JAX that keeps the layout. tests/python/xla_layout.cpp compares every size and offset with the headers of
// the JAX that is installed.
namespace plasticity::xla {

/// The first fields of almost every struct.
struct Header {
  std::size_t size;  ///< bytes of the struct, in the version of its writer
  struct Extension* extension;
};

/// An addition to a struct. Only requests for metadata use it.
struct Extension {
  std::size_t size;
  int type;
  Extension* next;
};
inline constexpr int metadata_extension = 1;

struct Version {
  Header header;
  int major, minor;
};

/// XLA's first request to a handler.
struct Metadata {
  std::size_t size;
  Version version;
  std::uint32_t traits;
};
struct MetadataRequest {
  Extension base;
  Metadata* metadata;
};

/// Types of elements, as numbered by XLA.
enum DataType : int { boolean = 1, s32 = 4, s64 = 5, u8 = 6, f32 = 11, f64 = 12 };

struct Buffer {
  Header header;
  DataType type;
  void* data;
  std::int64_t rank;
  std::int64_t* sizes;
};

struct Text {
  const char* data;
  std::size_t size;
};
struct Scalar {
  DataType type;
  void* value;
};
struct Array {
  DataType type;
  std::size_t size;
  void* data;
};

/// Arguments or results. All are buffers.
struct Buffers {
  Header header;
  std::int64_t count;
  int* kinds;
  void** buffers;
};

enum class AttributeKind : int { array = 1, dictionary = 2, scalar = 3, text = 4 };

struct Attributes {
  Header header;
  std::int64_t count;
  AttributeKind* kinds;
  Text** names;
  void** values;
};

struct Error;

enum class ErrorKind : int {
  invalid_argument = 3,
  resource_exhausted = 8,
  unimplemented = 12,
  internal = 13,
  unavailable = 14
};

struct ErrorRequest {
  Header header;
  const char* message;
  ErrorKind kind;
};
struct StreamRequest {
  Header header;
  void* context;
  void* stream;  // out
};
struct OrdinalRequest {
  Header header;
  void* context;
  std::int32_t ordinal;  // out
};

/// XLA's functions. Those without a type here are not used.
struct Api {
  Header header;
  Version version;
  const void* internal;
  Error* (*create_error)(ErrorRequest*);
  void *error_details, *destroy_error, *register_handler;
  Error* (*get_stream)(StreamRequest*);
  void *register_type, *get_context, *set_state, *get_state, *allocate, *free, *schedule, *threads;
  void *create_future, *set_available, *set_error, *run_id;
  Error* (*get_ordinal)(OrdinalRequest*);
};

struct CallFrame {
  Header header;
  const Api* api;
  void* context;
  int stage;
  Buffers arguments, results;
  Attributes attributes;
};

}  // namespace plasticity::xla
