#include "base/sha256.hpp"

#include <openssl/evp.h>

#include "base/assert.hpp"
#include "base/byte_codec.hpp"

namespace troupe {

struct Sha256::Context {
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(hash); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  TROUPE_ASSERT(context_->hash != nullptr && EVP_DigestInit_ex(context_->hash, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::add(ByteView bytes) { TROUPE_ASSERT(EVP_DigestUpdate(context_->hash, bytes.data(), bytes.size()) == 1); }

void Sha256::add_sized(ByteView bytes) {
  std::array<std::byte, 8> size{};
  store_big_endian(size.data(), static_cast<std::uint64_t>(bytes.size()));
  add(size);
  add(bytes);
}

Sha256::Digest Sha256::finish() {
  Digest digest{};
  unsigned size = 0;
  TROUPE_ASSERT(EVP_DigestFinal_ex(context_->hash, digest.data(), &size) == 1 && size == digest.size());
  return digest;
}

}  // namespace troupe
