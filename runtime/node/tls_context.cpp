#include "runtime/node/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/link/proof.hpp"

namespace troupe::runtime {
namespace {

Error unusable(const std::string& what, const std::string& why) {
  return {Errc::invalid_config, what + (why.empty() ? std::string{} : ": " + why)};
}

template <class T, void (*release)(T*)>
struct Release {
  void operator()(T* it) const { release(it); }
};
void free_names(GENERAL_NAMES* names) { GENERAL_NAMES_free(names); }
using Names = std::unique_ptr<GENERAL_NAMES, Release<GENERAL_NAMES, free_names>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Release<X509_STORE_CTX, X509_STORE_CTX_free>>;

/// Nobody is there to type one, and OpenSSL would ask at the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

/// The other nodes would refuse it: better said here, and at once.
Status check_own(SSL_CTX* context, const ClusterTls& files) {
  const StoreContext check{X509_STORE_CTX_new()};
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  if (!check ||
      X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), SSL_CTX_get0_certificate(context), chain) != 1) {
    return unusable("cluster.tls: the certificate cannot be checked", take_tls_errors());
  }
  if (X509_verify_cert(check.get()) == 1) return ok();
  const auto why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
  ERR_clear_error();
  return unusable("cluster.tls: the other nodes will refuse " + files.certificate + ", held against " + files.authority,
                  why);
}

}  // namespace

std::string take_tls_errors() {
  const auto first = ERR_peek_error();
  const auto* reason = first == 0 ? nullptr : ERR_reason_error_string(first);
  ERR_clear_error();
  if (first == 0) return {};
  return reason == nullptr ? "error " + std::to_string(first) : reason;
}

Result<BrokerId> broker_of(const X509* certificate) {
  const Names names{static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  ERR_clear_error();
  BrokerId found = no_broker;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const auto* text = name->d.dNSName;
    const auto broker = link::broker_named(
        {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text))});
    if (broker == no_broker) continue;
    if (found != no_broker && found != broker) return Error{Errc::policy_violation, "the certificate names two brokers"};
    found = broker;
  }
  if (found == no_broker) {
    return Error{Errc::policy_violation, "the certificate names no broker: it needs a subjectAltName DNS:broker-ID"};
  }
  return found;
}

Result<TlsContext> TlsContext::read(const ClusterTls& files, std::optional<BrokerId> self) {
  ERR_clear_error();
  const std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_method()), SSL_CTX_free};
  auto* const raw = context.get();
  if (raw == nullptr || SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) != 1) {
    return unusable("TLS cannot be used", take_tls_errors());
  }
  SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
  if (SSL_CTX_load_verify_locations(raw, files.authority.c_str(), nullptr) != 1) {
    return unusable("cluster.tls.authority = \"" + files.authority + "\" cannot be read as certificates in PEM",
                    take_tls_errors());
  }
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1) {
    return unusable("cluster.tls.certificate = \"" + files.certificate + "\" cannot be read as a certificate in PEM",
                    take_tls_errors());
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return unusable(
        "cluster.tls.key = \"" + files.key + "\" cannot be read as the certificate's key in PEM, without a passphrase",
        take_tls_errors());
  }
  TROUPE_TRY(check_own(raw, files));
  const auto named = broker_of(SSL_CTX_get0_certificate(raw));
  if (!named) return unusable("cluster.tls.certificate = \"" + files.certificate + "\"", named.error().message);
  if (self && *named != *self) {
    return unusable("cluster.tls.certificate = \"" + files.certificate + "\" is of " + link::certificate_name(*named) +
                        ", and node.id is " + to_string(*self),
                    {});
  }
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  // Nobody resumes a session: each connection shows its certificate.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return TlsContext{context};
}

}  // namespace troupe::runtime
