#include "base/tls_files.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "base/descriptor.h"

namespace escala {
namespace {

constexpr off_t kMaxFileBytes = 1 << 20;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

Error wrong(const std::string& what, const std::string& path, const std::string& why) {
  return {ErrorKind::Invalid, what + " '" + path + "': " + why};
}

// Never waits: a pipe has no writer, perhaps for ever.
Result<std::string> read_plain(const std::string& what, const std::string& path, mode_t forbidden) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return wrong(what, path, std::strerror(errno));
  struct stat found {};
  if (::fstat(file.get(), &found) != 0) return wrong(what, path, std::strerror(errno));
  if (!S_ISREG(found.st_mode)) return wrong(what, path, "is no plain file");
  if (found.st_size > kMaxFileBytes) return wrong(what, path, "is larger than 1 MiB");
  if ((found.st_mode & forbidden) != 0) return wrong(what, path, "everybody may read it; expected mode 0600 or 0640");
  std::string text(static_cast<size_t>(found.st_size), '\0');
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = ::read(file.get(), text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  text.resize(got);
  return text;
}

Bio bio_of(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<Certificate> read_certificate(const std::string& what, const std::string& path) {
  ESCALA_ASSIGN(const std::string text, read_plain(what, path, 0));
  Certificate out(PEM_read_bio_X509(bio_of(text).get(), nullptr, nullptr, nullptr));
  if (!out) return wrong(what, path, "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
  return out;
}

// Nobody is asked for a pass phrase: a service has nobody to ask.
int no_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<Key> read_key(const std::string& path) {
  ESCALA_ASSIGN(const std::string text, read_plain("key", path, S_IROTH | S_IWOTH));
  bool encrypted = false;
  Key out(PEM_read_bio_PrivateKey(bio_of(text).get(), nullptr, no_pass_phrase, &encrypted));
  if (encrypted) return wrong("key", path, "is encrypted; expected one without a pass phrase");
  if (!out) return wrong("key", path, "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
  return out;
}

std::string to_text(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unknown moment";
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts)};
}

}  // namespace

Status check_tls_files(const TlsFiles& files) {
  if (!files.certificate.empty()) {
    ESCALA_ASSIGN(const Certificate certificate, read_certificate("certificate", files.certificate));
    ESCALA_ASSIGN(const Key key, read_key(files.key));
    if (X509_check_private_key(certificate.get(), key.get()) != 1)
      return wrong("key", files.key, "does not fit the certificate '" + files.certificate + "'");
  }
  if (files.authority.empty()) return {};
  const auto authority = read_certificate("authority", files.authority);
  return authority.ok() ? ok_status() : Status(authority.error());
}

std::string validity_fault(const std::string& certificate) {
  const auto read = read_certificate("certificate", certificate);
  if (!read.ok()) return "";
  const ASN1_TIME* begin = X509_get0_notBefore(read->get());
  const ASN1_TIME* end = X509_get0_notAfter(read->get());
  if (X509_cmp_current_time(begin) > 0) return "is not valid before " + to_text(begin);
  if (X509_cmp_current_time(end) < 0) return "expired on " + to_text(end);
  return "";
}

}  // namespace escala
