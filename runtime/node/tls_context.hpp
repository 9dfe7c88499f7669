#pragma once

#include <memory>
#include <optional>
#include <string>

#include <openssl/types.h>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "runtime/config/node_config.hpp"

namespace troupe::runtime {

/// What all TLS sessions of a node are made from: TLS 1.3, a certificate by the cluster's authority on both sides. Read once.
class TlsContext {
 public:
  /// `self`: the broker that the certificate has to name; nullopt: any. Errors: invalid_config, one sentence with the file.
  static Result<TlsContext> read(const ClusterTls& files, std::optional<BrokerId> self);

  SSL_CTX* get() const { return context_.get(); }

 private:
  explicit TlsContext(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}

  std::shared_ptr<SSL_CTX> context_;
};

/// The one broker that a certificate names among its DNS names, as "broker-7". Errors: policy_violation.
Result<BrokerId> broker_of(const X509* certificate);

/// What OpenSSL has to say of the call before, in this thread; its queue of errors is empty afterwards.
std::string take_tls_errors();

}  // namespace troupe::runtime
