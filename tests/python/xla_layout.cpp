// The structs of python/xla/xla_ffi.hpp are laid out as those of the headers that JAX ships.
#include <xla/ffi/api/c_api.h>

#include "xla_ffi.hpp"

namespace x = plasticity::xla;

#define SAME_FIELD(ours, field, theirs, their_field)                                          \
  static_assert(offsetof(x::ours, field) == offsetof(theirs, their_field), #ours "." #field); \
  static_assert(sizeof(x::ours::field) == sizeof(theirs::their_field), #ours "." #field)

SAME_FIELD(Extension, size, XLA_FFI_InternalExtension, struct_size);
SAME_FIELD(Extension, type, XLA_FFI_InternalExtension, type);
SAME_FIELD(Extension, next, XLA_FFI_InternalExtension, next);
static_assert(x::metadata_extension == XLA_FFI_Extension_Metadata);

static_assert(sizeof(x::Version) == sizeof(XLA_FFI_Api_Version));
SAME_FIELD(Version, major, XLA_FFI_Api_Version, major_version);
SAME_FIELD(Version, minor, XLA_FFI_Api_Version, minor_version);
static_assert(XLA_FFI_API_MAJOR == 0);

SAME_FIELD(Metadata, version, XLA_FFI_Metadata, api_version);
SAME_FIELD(Metadata, traits, XLA_FFI_Metadata, traits);
SAME_FIELD(MetadataRequest, metadata, XLA_FFI_Metadata_Extension, metadata);

static_assert(x::boolean == static_cast<int>(XLA_FFI_DataType_PRED) &&
              x::s32 == static_cast<int>(XLA_FFI_DataType_S32));
static_assert(x::s64 == static_cast<int>(XLA_FFI_DataType_S64) &&
              x::u8 == static_cast<int>(XLA_FFI_DataType_U8));
static_assert(x::f32 == static_cast<int>(XLA_FFI_DataType_F32) &&
              x::f64 == static_cast<int>(XLA_FFI_DataType_F64));

static_assert(sizeof(x::Buffer) == sizeof(XLA_FFI_Buffer));
SAME_FIELD(Buffer, type, XLA_FFI_Buffer, dtype);
SAME_FIELD(Buffer, data, XLA_FFI_Buffer, data);
SAME_FIELD(Buffer, rank, XLA_FFI_Buffer, rank);
SAME_FIELD(Buffer, sizes, XLA_FFI_Buffer, dims);

SAME_FIELD(Text, data, XLA_FFI_ByteSpan, ptr);
SAME_FIELD(Text, size, XLA_FFI_ByteSpan, len);
SAME_FIELD(Scalar, type, XLA_FFI_Scalar, dtype);
SAME_FIELD(Scalar, value, XLA_FFI_Scalar, value);
SAME_FIELD(Array, type, XLA_FFI_Array, dtype);
SAME_FIELD(Array, size, XLA_FFI_Array, size);
SAME_FIELD(Array, data, XLA_FFI_Array, data);

static_assert(sizeof(x::Buffers) == sizeof(XLA_FFI_Args) && sizeof(x::Buffers) == sizeof(XLA_FFI_Rets));
SAME_FIELD(Buffers, count, XLA_FFI_Args, size);
SAME_FIELD(Buffers, buffers, XLA_FFI_Args, args);
SAME_FIELD(Buffers, count, XLA_FFI_Rets, size);
SAME_FIELD(Buffers, buffers, XLA_FFI_Rets, rets);

static_assert(sizeof(x::Attributes) == sizeof(XLA_FFI_Attrs));
SAME_FIELD(Attributes, count, XLA_FFI_Attrs, size);
SAME_FIELD(Attributes, kinds, XLA_FFI_Attrs, types);
SAME_FIELD(Attributes, names, XLA_FFI_Attrs, names);
SAME_FIELD(Attributes, values, XLA_FFI_Attrs, attrs);
static_assert(static_cast<int>(x::AttributeKind::array) == XLA_FFI_AttrType_ARRAY);
static_assert(static_cast<int>(x::AttributeKind::scalar) == XLA_FFI_AttrType_SCALAR);
static_assert(static_cast<int>(x::AttributeKind::text) == XLA_FFI_AttrType_STRING);

SAME_FIELD(ErrorRequest, message, XLA_FFI_Error_Create_Args, message);
SAME_FIELD(ErrorRequest, kind, XLA_FFI_Error_Create_Args, errc);
static_assert(static_cast<int>(x::ErrorKind::invalid_argument) == XLA_FFI_Error_Code_INVALID_ARGUMENT);
static_assert(static_cast<int>(x::ErrorKind::resource_exhausted) == XLA_FFI_Error_Code_RESOURCE_EXHAUSTED);
static_assert(static_cast<int>(x::ErrorKind::unimplemented) == XLA_FFI_Error_Code_UNIMPLEMENTED);
static_assert(static_cast<int>(x::ErrorKind::internal) == XLA_FFI_Error_Code_INTERNAL);
static_assert(static_cast<int>(x::ErrorKind::unavailable) == XLA_FFI_Error_Code_UNAVAILABLE);

SAME_FIELD(StreamRequest, context, XLA_FFI_Stream_Get_Args, ctx);
SAME_FIELD(StreamRequest, stream, XLA_FFI_Stream_Get_Args, stream);
SAME_FIELD(OrdinalRequest, context, XLA_FFI_DeviceOrdinal_Get_Args, ctx);
SAME_FIELD(OrdinalRequest, ordinal, XLA_FFI_DeviceOrdinal_Get_Args, device_ordinal);

SAME_FIELD(Api, version, XLA_FFI_Api, api_version);
SAME_FIELD(Api, create_error, XLA_FFI_Api, XLA_FFI_Error_Create);
SAME_FIELD(Api, get_stream, XLA_FFI_Api, XLA_FFI_Stream_Get);
SAME_FIELD(Api, get_ordinal, XLA_FFI_Api, XLA_FFI_DeviceOrdinal_Get);

SAME_FIELD(CallFrame, api, XLA_FFI_CallFrame, api);
SAME_FIELD(CallFrame, context, XLA_FFI_CallFrame, ctx);
SAME_FIELD(CallFrame, stage, XLA_FFI_CallFrame, stage);
SAME_FIELD(CallFrame, arguments, XLA_FFI_CallFrame, args);
SAME_FIELD(CallFrame, results, XLA_FFI_CallFrame, rets);
SAME_FIELD(CallFrame, attributes, XLA_FFI_CallFrame, attrs);
