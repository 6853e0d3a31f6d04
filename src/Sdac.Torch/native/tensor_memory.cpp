// Where tensors on the CPU get their memory: freed blocks are kept by size and handed out again. glibc would give
// large ones back to the system, and a fresh mapping costs a page fault per 4 KiB, more than most operators; told to
// keep them, it cannot fit the next aligned block into the last one's place and grows without end (before 2.38).

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace {

constexpr size_t kAlignment = 64;           // a cache line, and what AVX-512 loads like
constexpr int kStepsPerDoubling = 8;        // so a block is at most 1/8 larger than asked for
constexpr size_t kMapped = size_t(1) << 20; // from this size on, blocks are mappings of their own
constexpr size_t kHugePage = size_t(2) << 20;
constexpr int64_t kKeptMapped = int64_t(4) << 30; // freed mappings beyond this many bytes go back to the system

// Lies in the cache line before the data.
struct alignas(kAlignment) Block {
    size_t size; // with this header
    int size_class;
    Block *next; // while free
};

struct FreeList {
    std::mutex mutex;
    Block *first = nullptr;
};

std::array<FreeList, 64 * kStepsPerDoubling> free_lists;
std::atomic<int64_t> kept_mapped{0};

// The smallest of 8 sizes per doubling that holds `size`.
size_t round_up(size_t size, int &size_class) {
    const int exponent = 63 - __builtin_clzll(size);
    const size_t step = size_t(1) << (exponent - 3);
    const size_t rounded = (size + step - 1) & ~(step - 1);
    const int rounded_exponent = 63 - __builtin_clzll(rounded);
    const auto position = (rounded >> (rounded_exponent - 3)) & (kStepsPerDoubling - 1);
    size_class = rounded_exponent * kStepsPerDoubling + static_cast<int>(position);
    return rounded;
}

void *fresh(size_t size) {
    void *memory = nullptr;
    if (size < kMapped) return posix_memalign(&memory, kAlignment, size) == 0 ? memory : nullptr;
    memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    if (size >= 2 * kHugePage) madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

void *take(size_t bytes) {
    if (bytes == 0) return nullptr;
    int size_class;
    const auto size = round_up(bytes + sizeof(Block), size_class);
    auto &list = free_lists[size_class];
    Block *block;
    {
        std::lock_guard<std::mutex> lock(list.mutex);
        block = list.first;
        if (block != nullptr) list.first = block->next;
    }
    if (block == nullptr) {
        block = static_cast<Block *>(fresh(size));
        TORCH_CHECK(block != nullptr, "not enough memory: you tried to allocate ", bytes, " bytes");
        block->size = size;
        block->size_class = size_class;
    } else if (size >= kMapped) {
        kept_mapped.fetch_sub(static_cast<int64_t>(size), std::memory_order_relaxed);
    }
    return block + 1;
}

void give_back(void *data) {
    if (data == nullptr) return;
    auto *block = static_cast<Block *>(data) - 1;
    const auto size = static_cast<int64_t>(block->size);
    if (block->size >= kMapped && kept_mapped.fetch_add(size, std::memory_order_relaxed) + size > kKeptMapped) {
        kept_mapped.fetch_sub(size, std::memory_order_relaxed);
        munmap(block, block->size);
        return;
    }
    auto &list = free_lists[block->size_class];
    std::lock_guard<std::mutex> lock(list.mutex);
    block->next = list.first;
    list.first = block;
}

struct KeepingAllocator final : c10::Allocator {
    // const in some releases of libtorch and not in others: the one that is there is overridden.
    c10::DataPtr allocate(size_t bytes) const { return hand_out(bytes); }
    c10::DataPtr allocate(size_t bytes) { return hand_out(bytes); }
    c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
    void copy_data(void *to, const void *from, size_t bytes) const { std::memcpy(to, from, bytes); }

  private:
    static c10::DataPtr hand_out(size_t bytes) {
        void *data = take(bytes);
        return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
};

__attribute__((constructor)) void install() {
    static KeepingAllocator allocator;
    c10::SetCPUAllocator(&allocator);
}

} // namespace
