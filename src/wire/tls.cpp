#include "wire/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace escala::wire {
namespace {

constexpr unsigned char kAlpnH2[] = {2, 'h', '2'};

std::string openssl_error() {
  std::string text = "unknown TLS error";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    char buffer[256];
    ERR_error_string_n(code, buffer, sizeof buffer);
    text = buffer;
  }
  ERR_clear_error();
  return text;
}

Error file_error(std::string_view what, const std::string& path) {
  return {ErrorKind::Invalid, std::string(what) + " '" + path + "': " + openssl_error()};
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                unsigned int in_length, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kAlpnH2, sizeof kAlpnH2, in, in_length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void ignore_sigpipe() {
  struct sigaction now {};
  if (sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) std::signal(SIGPIPE, SIG_IGN);
}

void set_common(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  // Without these a connection at rest would keep two buffers of 16 KiB.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Of TLS 1.2 only what HTTP/2 allows (RFC 9113, 9.2.2); all of TLS 1.3 is fine.
  SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

Status load(SSL_CTX* context, const TlsFiles& files) {
  ESCALA_TRY(check_tls_files(files));
  if (!files.certificate.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
      return file_error("certificate", files.certificate);
    if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
      return file_error("key", files.key);
    if (SSL_CTX_check_private_key(context) != 1) return file_error("key does not fit its certificate:", files.key);
  }
  if (files.authority.empty()) return {};
  if (SSL_CTX_load_verify_locations(context, files.authority.c_str(), nullptr) != 1)
    return file_error("authority", files.authority);
  return {};
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::for_server(const TlsFiles& files) {
  if (files.certificate.empty() || files.key.empty())
    return Error{ErrorKind::Invalid, "TLS of a server needs a certificate and its key"};
  ignore_sigpipe();
  std::shared_ptr<TlsContext> out(new TlsContext(SSL_CTX_new(TLS_server_method())));
  set_common(out->get());
  SSL_CTX_set_options(out->get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  ESCALA_TRY(load(out->get(), files));
  if (!files.authority.empty()) {
    SSL_CTX_set_client_CA_list(out->get(), SSL_load_client_CA_file(files.authority.c_str()));
    SSL_CTX_set_verify(out->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  SSL_CTX_set_alpn_select_cb(out->get(), choose_alpn, nullptr);
  return out;
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_client(const TlsFiles& files) {
  if (files.authority.empty()) return Error{ErrorKind::Invalid, "TLS of a client needs the authority of its server"};
  ignore_sigpipe();
  std::shared_ptr<TlsContext> out(new TlsContext(SSL_CTX_new(TLS_client_method())));
  set_common(out->get());
  ESCALA_TRY(load(out->get(), files));
  SSL_CTX_set_verify(out->get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_alpn_protos(out->get(), kAlpnH2, sizeof kAlpnH2);
  return out;
}

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

Status Channel::secure_server(const TlsContext& context) {
  ssl_ = SSL_new(context.get());
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) return Error{ErrorKind::Unavailable, openssl_error()};
  SSL_set_accept_state(ssl_);
  return {};
}

Status Channel::secure_client(const TlsContext& context, const std::string& name) {
  ssl_ = SSL_new(context.get());
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) return Error{ErrorKind::Unavailable, openssl_error()};
  SSL_set_connect_state(ssl_);
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_);
  // A numeric name is compared with the certificate's addresses, any other with its DNS names.
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) != 1) {
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) != 1 ||
        // The macro for this casts as C does.
        SSL_ctrl(ssl_, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(name.c_str())) != 1)
      return Error{ErrorKind::Invalid, "'" + name + "' cannot be a server's name: " + openssl_error()};
  }
  return {};
}

Io Channel::judge(int returned) {
  const int kept = errno;
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ:
      return Io::WantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::WantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::Closed;
    case SSL_ERROR_SYSCALL:
      if (kept == 0) return Io::Closed;
      error_ = std::strerror(kept);
      ERR_clear_error();
      return Io::Failed;
    default: {
      const long verdict = SSL_get_verify_result(ssl_);
      error_ = openssl_error();
      if (verdict != X509_V_OK) error_ += std::string(" (") + X509_verify_cert_error_string(verdict) + ")";
      return Io::Failed;
    }
  }
}

Io Channel::handshake() {
  if (ssl_ == nullptr || established_) {
    established_ = true;
    return Io::Done;
  }
  errno = 0;
  const int returned = SSL_do_handshake(ssl_);
  if (returned != 1) return judge(returned);
  const unsigned char* protocol = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &length);
  if (std::string_view(reinterpret_cast<const char*>(protocol), length) != "h2") {
    error_ = "the peer did not agree to speak HTTP/2 (ALPN h2)";
    return Io::Failed;
  }
  established_ = true;
  return Io::Done;
}

Io Channel::read(std::span<char> into, size_t& got) {
  got = 0;
  if (ssl_ != nullptr) {
    errno = 0;
    const int returned = SSL_read(ssl_, into.data(), static_cast<int>(into.size()));
    if (returned <= 0) return judge(returned);
    got = static_cast<size_t>(returned);
    return Io::Done;
  }
  ssize_t returned = 0;
  do {
    returned = ::recv(fd_, into.data(), into.size(), 0);
  } while (returned < 0 && errno == EINTR);
  if (returned == 0) return Io::Closed;
  if (returned < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::WantRead;
    error_ = std::strerror(errno);
    return Io::Failed;
  }
  got = static_cast<size_t>(returned);
  return Io::Done;
}

Io Channel::write(std::string_view from, size_t& put) {
  put = 0;
  if (ssl_ != nullptr) {
    errno = 0;
    const int returned = SSL_write(ssl_, from.data(), static_cast<int>(from.size()));
    if (returned <= 0) return judge(returned);
    put = static_cast<size_t>(returned);
    return Io::Done;
  }
  ssize_t returned = 0;
  do {
    returned = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
  } while (returned < 0 && errno == EINTR);
  if (returned < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::WantWrite;
    error_ = std::strerror(errno);
    return Io::Failed;
  }
  put = static_cast<size_t>(returned);
  return Io::Done;
}

bool Channel::has_buffered() const {
  return ssl_ != nullptr && SSL_pending(ssl_) > 0;
}

Result<std::string> Channel::peer_identity() const {
  if (ssl_ == nullptr) return std::string();
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return std::string();
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (names == nullptr) return std::string();
  std::string identity;
  int uris = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    ++uris;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    identity.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                    static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  GENERAL_NAMES_free(names);
  // A NUL inside would make it one name for us and another for whoever compares C strings.
  if (uris > 1 || identity.find('\0') != std::string::npos)
    return Error{ErrorKind::Denied, "the peer's certificate must name exactly one URI"};
  return identity;
}

void Channel::shut_write() {
  if (fd_ >= 0) ::shutdown(fd_, SHUT_WR);
}

void Channel::close() {
  if (ssl_ != nullptr) {
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace escala::wire
