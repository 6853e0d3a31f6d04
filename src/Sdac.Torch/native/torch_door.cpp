// The C door to libtorch: every operator through the dispatcher by name, plus the few things that are not operators
// (memory, autograd, generators, settings). No function throws across the border: failures return -1 and leave
// their text, without the C++ stack, in a thread-local string.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/DefaultDtype.h>
#include <c10/util/Logging.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

// Of whichever OpenMP runtime and BLAS libtorch brings along; null where there is none of that name.
extern "C" {
int omp_get_max_threads() __attribute__((weak));
void omp_set_num_threads(int) __attribute__((weak));
void openblas_set_num_threads(int) __attribute__((weak));
}

#define SDAC_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// One argument or result; the managed side declares the same layout (NativeValue).
enum Tag : int64_t {
    kDefault = 0, // argument: whatever the operator's schema says
    kNone = 1,
    kTensor = 2, // bits = handle
    kInt = 3,
    kDouble = 4, // bits of the double
    kBool = 5,
    kIntList = 6,         // bits = int64_t*, count
    kTensorList = 7,      // bits = handle*, count
    kOptionalTensors = 8, // like kTensorList; a zero handle is None
    kDevice = 9,          // bits = device type, count = index
    kGenerator = 10,      // bits = at::Generator*
    kString = 11,         // bits = char*, count = bytes
};

struct Value {
    int64_t tag;
    int64_t bits;
    int64_t count;
};

using Handle = c10::TensorImpl *;

thread_local std::string last_error;
std::atomic<int64_t> live_tensors{0};

template <typename F> auto guarded(F body) -> decltype(body()) {
    try {
        return body();
    } catch (const c10::Error &e) {
        last_error = e.what_without_backtrace();
    } catch (const std::exception &e) {
        last_error = e.what();
    } catch (...) {
        last_error = "libtorch threw an exception of an unknown type";
    }
    return static_cast<decltype(body())>(-1);
}

at::Tensor borrow(int64_t handle) {
    TORCH_CHECK(handle != 0, "a tensor argument is missing or disposed");
    return at::Tensor(
        c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(reinterpret_cast<Handle>(handle)));
}

at::Tensor borrow_or_undefined(int64_t handle) { return handle == 0 ? at::Tensor() : borrow(handle); }

int64_t give(at::Tensor tensor) {
    if (!tensor.defined()) return 0;
    live_tensors.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<int64_t>(tensor.unsafeReleaseTensorImpl());
}

std::vector<at::Tensor> borrow_all(const int64_t *handles, int64_t count) {
    std::vector<at::Tensor> tensors;
    tensors.reserve(count);
    for (int64_t i = 0; i < count; i++) tensors.push_back(borrow_or_undefined(handles[i]));
    return tensors;
}

double as_double(int64_t bits) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

int64_t as_bits(double value) {
    int64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

c10::IValue to_ivalue(const Value &v, const c10::FunctionSchema &schema, size_t position) {
    switch (v.tag) {
    case kDefault: {
        const auto &value = schema.arguments()[position].default_value();
        TORCH_CHECK(value.has_value(), schema.name(), ": argument '", schema.arguments()[position].name(),
                    "' has no default");
        return *value;
    }
    case kNone: return c10::IValue();
    case kTensor: return c10::IValue(borrow(v.bits));
    case kInt: return c10::IValue(v.bits);
    case kDouble: return c10::IValue(as_double(v.bits));
    case kBool: return c10::IValue(v.bits != 0);
    case kIntList: {
        const auto *values = reinterpret_cast<const int64_t *>(v.bits);
        return c10::IValue(c10::IntArrayRef(values, v.count));
    }
    case kTensorList: {
        const auto *handles = reinterpret_cast<const int64_t *>(v.bits);
        c10::List<at::Tensor> list;
        list.reserve(v.count);
        for (int64_t i = 0; i < v.count; i++) list.push_back(borrow(handles[i]));
        return c10::IValue(std::move(list));
    }
    case kOptionalTensors: {
        const auto *handles = reinterpret_cast<const int64_t *>(v.bits);
        c10::List<c10::optional<at::Tensor>> list;
        list.reserve(v.count);
        for (int64_t i = 0; i < v.count; i++)
            list.push_back(handles[i] == 0 ? c10::optional<at::Tensor>()
                                           : c10::optional<at::Tensor>(borrow(handles[i])));
        return c10::IValue(std::move(list));
    }
    case kDevice:
        return c10::IValue(c10::Device(static_cast<c10::DeviceType>(v.bits), static_cast<c10::DeviceIndex>(v.count)));
    case kGenerator: return c10::IValue(*reinterpret_cast<at::Generator *>(v.bits));
    case kString: return c10::IValue(std::string(reinterpret_cast<const char *>(v.bits), v.count));
    default: TORCH_CHECK(false, schema.name(), ": unknown argument tag ", v.tag);
    }
}

// A list result is handed over as a malloc'd array, which the caller frees with sdac_free.
Value from_ivalue(c10::IValue &&value) {
    if (value.isTensor()) return {kTensor, give(std::move(value).toTensor()), 0};
    if (value.isInt()) return {kInt, value.toInt(), 0};
    if (value.isDouble()) return {kDouble, as_bits(value.toDouble()), 0};
    if (value.isBool()) return {kBool, value.toBool(), 0};
    if (value.isTensorList()) {
        auto tensors = std::move(value).toTensorVector();
        auto *handles = static_cast<int64_t *>(std::malloc(sizeof(int64_t) * (tensors.size() + 1)));
        for (size_t i = 0; i < tensors.size(); i++) handles[i] = give(std::move(tensors[i]));
        return {kTensorList, reinterpret_cast<int64_t>(handles), static_cast<int64_t>(tensors.size())};
    }
    if (value.isNone()) return {kNone, 0, 0};
    TORCH_CHECK(false, "a result of kind ", value.tagKind(), " cannot be handed over");
}

// One operator, and whether its parallel form adds up in an order that depends on the number of threads.
struct Operator {
    c10::OperatorHandle handle;
    bool in_order;
};

// Runs libtorch's own loops and its BLAS on the calling thread alone, so that sums have the same bits whatever the
// number of threads.
class InOrder {
  public:
    explicit InOrder(bool wanted) {
        if (!wanted || omp_set_num_threads == nullptr || omp_get_max_threads == nullptr) return;
        at::get_num_threads(); // the first call on a thread sets what is set here
        before_ = omp_get_max_threads();
        omp_set_num_threads(1);
    }
    ~InOrder() {
        if (before_ != 0) omp_set_num_threads(before_);
    }
    InOrder(const InOrder &) = delete;
    InOrder &operator=(const InOrder &) = delete;

  private:
    int before_ = 0;
};

// OpenBLAS alone: products of matrices too have bits that depend on its number of threads, and the threads of its
// pthread build fight with OpenMP's. (Its OpenMP build, once called from one thread, would stay at one anyway.)
__attribute__((constructor)) void one_blas_thread() {
    if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
}

c10::Device device_of(int64_t type, int64_t index) {
    return c10::Device(static_cast<c10::DeviceType>(type), static_cast<c10::DeviceIndex>(index));
}

// Nobody sees the C++ stack of an error, and resolving its symbols costs milliseconds.
__attribute__((constructor)) void skip_stack_traces() {
    c10::SetStackTraceFetcher(std::function<std::string()>([] { return std::string(); }));
}

} // namespace

SDAC_EXPORT const char *sdac_error() { return last_error.c_str(); }
SDAC_EXPORT const char *sdac_version() { return TORCH_VERSION; }
SDAC_EXPORT int64_t sdac_live_tensors() { return live_tensors.load(std::memory_order_relaxed); }
SDAC_EXPORT void sdac_free(void *memory) { std::free(memory); }

// ---- operators

SDAC_EXPORT const void *sdac_operator(const char *name, const char *overload, int32_t in_order) {
    const void *found = nullptr;
    guarded([&] {
        found = new Operator{c10::Dispatcher::singleton().findSchemaOrThrow(name, overload), in_order != 0};
        return 0;
    });
    return found;
}

// Returns the number of results, of which the first `capacity` were written; -1 on failure.
SDAC_EXPORT int32_t sdac_call(const Operator *op, const Value *args, int32_t count, Value *results, int32_t capacity) {
    thread_local torch::jit::Stack stack; // reused: a call allocates nothing of its own
    auto status = guarded([&] {
        stack.clear();
        const auto &schema = op->handle.schema();
        const auto expected = schema.arguments().size();
        for (auto i = static_cast<int32_t>(expected); i < count; i++)
            TORCH_CHECK(args[i].tag == kDefault, schema.name(), " takes no more than ", expected, " arguments");
        constexpr Value absent{kDefault, 0, 0};
        for (size_t i = 0; i < expected; i++)
            stack.push_back(to_ivalue(i < static_cast<size_t>(count) ? args[i] : absent, schema, i));
        {
            const InOrder guard(op->in_order);
            op->handle.callBoxed(stack);
        }
        const auto produced = static_cast<int32_t>(stack.size());
        for (int32_t i = 0; i < produced && i < capacity; i++) results[i] = from_ivalue(std::move(stack[i]));
        return produced;
    });
    stack.clear();
    return status;
}

// ---- tensors

SDAC_EXPORT void sdac_release(int64_t handle) {
    live_tensors.fetch_sub(1, std::memory_order_relaxed);
    c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim(reinterpret_cast<Handle>(handle));
}

// A tensor over the caller's memory, without a copy; `deleter(context)` runs when its storage dies.
SDAC_EXPORT int64_t sdac_from_memory(void *data, const int64_t *sizes, int64_t rank, int32_t dtype,
                                     void (*deleter)(void *), void *context) {
    return guarded([&] {
        auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype));
        return give(at::from_blob(
            data, c10::IntArrayRef(sizes, rank), [deleter, context](void *) { deleter(context); }, options));
    });
}

SDAC_EXPORT void *sdac_data(int64_t handle) {
    void *data = nullptr;
    guarded([&] {
        data = borrow(handle).data_ptr();
        return 0;
    });
    return data;
}

// What never changes while the handle's shape does not, in one call: dtype, device, rank, element count.
SDAC_EXPORT int32_t sdac_describe(int64_t handle, int64_t *into) {
    return guarded([&] {
        const auto *impl = reinterpret_cast<const c10::TensorImpl *>(handle);
        into[0] = static_cast<int64_t>(c10::typeMetaToScalarType(impl->dtype()));
        into[1] = static_cast<int64_t>(impl->device().type());
        into[2] = impl->device().index();
        into[3] = impl->dim();
        into[4] = impl->numel();
        into[5] = impl->layout() == c10::kStrided && impl->is_contiguous();
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_sizes(int64_t handle, int64_t *sizes, int64_t *strides) {
    return guarded([&] {
        const auto *impl = reinterpret_cast<const c10::TensorImpl *>(handle);
        const auto bytes = sizeof(int64_t) * impl->dim();
        if (sizes != nullptr) std::memcpy(sizes, impl->sizes().data(), bytes);
        if (strides != nullptr) std::memcpy(strides, impl->strides().data(), bytes);
        return 0;
    });
}

SDAC_EXPORT int64_t sdac_storage_offset(int64_t handle) {
    return guarded([&] { return borrow(handle).storage_offset(); });
}

// ---- autograd

SDAC_EXPORT int32_t sdac_requires_grad(int64_t handle) {
    return guarded([&] { return static_cast<int32_t>(borrow(handle).requires_grad()); });
}

SDAC_EXPORT int32_t sdac_set_requires_grad(int64_t handle, int32_t value) {
    return guarded([&] {
        borrow(handle).requires_grad_(value != 0);
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_is_leaf(int64_t handle) {
    return guarded([&] { return static_cast<int32_t>(borrow(handle).is_leaf()); });
}

SDAC_EXPORT int32_t sdac_retain_grad(int64_t handle) {
    return guarded([&] {
        borrow(handle).retain_grad();
        return 0;
    });
}

// Writes one handle per input into `gradients` (0: unused input).
SDAC_EXPORT int32_t sdac_grad(const int64_t *outputs, int64_t output_count, const int64_t *inputs, int64_t input_count,
                              const int64_t *output_gradients, int64_t gradient_count, int32_t retain_graph,
                              int32_t create_graph, int32_t allow_unused, int64_t *gradients) {
    return guarded([&] {
        const InOrder guard(true);
        auto result = torch::autograd::grad(borrow_all(outputs, output_count), borrow_all(inputs, input_count),
                                            borrow_all(output_gradients, gradient_count), retain_graph != 0,
                                            create_graph != 0, allow_unused != 0);
        for (size_t i = 0; i < result.size(); i++) gradients[i] = give(std::move(result[i]));
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_backward(const int64_t *tensors, int64_t tensor_count, const int64_t *gradients,
                                  int64_t gradient_count, const int64_t *inputs, int64_t input_count,
                                  int32_t retain_graph, int32_t create_graph) {
    return guarded([&] {
        const InOrder guard(true);
        torch::autograd::backward(borrow_all(tensors, tensor_count), borrow_all(gradients, gradient_count),
                                  retain_graph != 0, create_graph != 0, borrow_all(inputs, input_count));
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_grad_mode() { return c10::GradMode::is_enabled(); }
SDAC_EXPORT void sdac_set_grad_mode(int32_t enabled) { c10::GradMode::set_enabled(enabled != 0); }

// ---- settings

SDAC_EXPORT int32_t sdac_threads() { return at::get_num_threads(); }

SDAC_EXPORT int32_t sdac_set_threads(int32_t count) {
    return guarded([&] {
        at::set_num_threads(count);
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_interop_threads() { return static_cast<int32_t>(at::get_num_interop_threads()); }

SDAC_EXPORT int32_t sdac_set_interop_threads(int32_t count) {
    return guarded([&] {
        at::set_num_interop_threads(count);
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_cuda_devices() {
    return guarded([&] { return at::hasCUDA() ? static_cast<int32_t>(at::detail::getCUDAHooks().getNumGPUs()) : 0; });
}

SDAC_EXPORT int32_t sdac_has_cudnn() {
    return guarded([&] { return static_cast<int32_t>(at::globalContext().hasCuDNN()); });
}

SDAC_EXPORT int32_t sdac_init_cuda() {
    return guarded([&] {
        at::globalContext().lazyInitCUDA();
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_default_dtype() {
    return static_cast<int32_t>(c10::typeMetaToScalarType(c10::get_default_dtype()));
}

SDAC_EXPORT int32_t sdac_set_default_dtype(int32_t dtype) {
    return guarded([&] {
        c10::set_default_dtype(c10::scalarTypeToTypeMeta(static_cast<c10::ScalarType>(dtype)));
        return 0;
    });
}

// ---- generators

namespace {

const at::Generator &default_generator(int64_t type, int64_t index) {
    return at::globalContext().defaultGenerator(device_of(type, index));
}

template <typename F> int64_t with_generator(at::Generator *generator, F body) {
    return guarded([&] {
        std::lock_guard<std::mutex> lock(generator->mutex());
        return static_cast<int64_t>(body(*generator));
    });
}

} // namespace

// Null on failure. A fresh generator is a copy of the device's default one, so that no CUDA header is needed here.
SDAC_EXPORT at::Generator *sdac_generator(int64_t type, int64_t index, int32_t fresh) {
    at::Generator *made = nullptr;
    guarded([&] {
        const auto &shared = default_generator(type, index);
        made = new at::Generator(fresh != 0 ? shared.clone() : shared);
        return 0;
    });
    return made;
}

SDAC_EXPORT void sdac_generator_free(at::Generator *generator) { delete generator; }

SDAC_EXPORT int64_t sdac_generator_set_seed(at::Generator *generator, int64_t seed) {
    return with_generator(generator, [&](at::Generator &g) {
        g.set_current_seed(static_cast<uint64_t>(seed));
        return 0;
    });
}

// The two seeds may be any 64 bits, so success is told apart from the value.
SDAC_EXPORT int32_t sdac_generator_seed(at::Generator *generator, int32_t draw_a_new_one, int64_t *seed) {
    return static_cast<int32_t>(with_generator(generator, [&](at::Generator &g) {
        *seed = static_cast<int64_t>(draw_a_new_one != 0 ? g.seed() : g.current_seed());
        return 0;
    }));
}

SDAC_EXPORT int64_t sdac_generator_state(at::Generator *generator) {
    return with_generator(generator, [](at::Generator &g) { return give(g.get_state()); });
}

SDAC_EXPORT int64_t sdac_generator_set_state(at::Generator *generator, int64_t state) {
    return with_generator(generator, [&](at::Generator &g) {
        g.set_state(borrow(state));
        return 0;
    });
}

SDAC_EXPORT int32_t sdac_manual_seed(int64_t seed) {
    return guarded([&] {
        at::manual_seed(static_cast<uint64_t>(seed));
        return 0;
    });
}
