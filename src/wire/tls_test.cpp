// TLS with real certificates, made here: an authority, a server, agents, and those who should not get in.
#include "wire/tls.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "wire/grpc.h"
#include "wire/test_support.h"

namespace escala::wire {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(FILE* file) const { std::fclose(file); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

// Makes certificates and leaves them as files in a directory of its own.
class Workshop {
 public:
  Workshop() {
    std::string path = (std::filesystem::temp_directory_path() / "escala-tls-XXXXXX").string();
    directory_ = mkdtemp(path.data());
    make_authority("ca", ca_key_, ca_);
    make_authority("other", other_key_, other_);
  }
  ~Workshop() { std::filesystem::remove_all(directory_); }

  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  // An end's files: its certificate is signed by `ca` (or the other one), trusts `ca`.
  TlsFiles make(const std::string& name, const std::string& alt_names, bool other = false, long days = 1) {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate made = sign(name, key.get(), other ? other_.get() : ca_.get(),
                                  other ? other_key_.get() : ca_key_.get(), days, alt_names, false);
    save(name, made.get(), key.get());
    return {file(name + ".pem"), file(name + ".key"), file("ca.pem")};
  }
  // A key under a pass phrase.
  std::string locked(const std::string& name) {
    const std::unique_ptr<FILE, Free> secret(std::fopen(file(name).c_str(), "we"));
    chmod(file(name).c_str(), 0600);
    unsigned char phrase[] = "phrase";
    PEM_write_PrivateKey(secret.get(), ca_key_.get(), EVP_aes_128_cbc(), phrase, sizeof phrase - 1, nullptr, nullptr);
    return file(name);
  }

 private:
  void make_authority(const std::string& name, Key& key, Certificate& certificate) {
    key.reset(EVP_EC_gen("P-256"));
    certificate = sign(name, key.get(), nullptr, key.get(), 1, "", true);
    save(name, certificate.get(), key.get());
  }

  static Certificate sign(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key, long days,
                          const std::string& alt_names, bool authority) {
    Certificate made(X509_new());
    X509_set_version(made.get(), 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -2 * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), days * 86400L);
    X509_set_pubkey(made.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer != nullptr ? issuer : made.get()));
    const auto extend = [&](int nid, const std::string& value) {
      X509V3_CTX context;
      X509V3_set_ctx(&context, issuer != nullptr ? issuer : made.get(), made.get(), nullptr, nullptr, 0);
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
      EXPECT_NE(extension, nullptr) << value;
      X509_add_ext(made.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (!alt_names.empty()) extend(NID_subject_alt_name, alt_names);
    EXPECT_GT(X509_sign(made.get(), issuer_key, EVP_sha256()), 0);
    return made;
  }

  void save(const std::string& name, X509* certificate, EVP_PKEY* key) const {
    const std::unique_ptr<FILE, Free> pem(std::fopen(file(name + ".pem").c_str(), "we"));
    PEM_write_X509(pem.get(), certificate);
    const std::unique_ptr<FILE, Free> secret(std::fopen(file(name + ".key").c_str(), "we"));
    chmod(file(name + ".key").c_str(), 0600);
    PEM_write_PrivateKey(secret.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  }

  std::filesystem::path directory_;
  Key ca_key_, other_key_;
  Certificate ca_, other_;
};

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Server::listen(
        loop, {.listen = "127.0.0.1:0", .tls = shop.make("server", "DNS:manager.test,IP:127.0.0.1"), .limits = {}});
    ASSERT_TRUE(made.ok()) << made.error().message;
    server = std::move(made).value();
    server->add("/test.Who/Am", {.on_start = {},
                                 .on_message =
                                     [](ServerCall& call, std::string_view) {
                                       call.send(call.peer_identity());
                                       call.finish({});
                                     },
                                 .on_half_close = {},
                                 .on_end = {}});
  }
  // The identity the server sees, or nothing when we do not get in.
  std::optional<std::string> identity(std::optional<TlsFiles> files, const std::string& name = "") {
    const auto client = Client::make(loop, {.target = "127.0.0.1:" + std::to_string(server->port()),
                                            .tls = std::move(files),
                                            .tls_name = name,
                                            .source = ""});
    std::optional<GrpcStatus> status;
    std::string reply;
    client->call("/test.Who/Am", "", 3s, [&](const GrpcStatus& s, std::string_view r) {
      status = s;
      reply = r;
    });
    EXPECT_TRUE(until(loop, [&] { return status.has_value(); }));
    if (!status || !status->ok()) {
      why = status ? status->message : "nothing came";
      return std::nullopt;
    }
    return reply;
  }

  Workshop shop;
  EventLoop loop;
  std::unique_ptr<Server> server;
  std::string why;
};

const std::string kAgentUri = "spiffe://test/agent/i-0123456789abcdef0";

TEST_F(Tls, TheServerKnowsTheAgentByItsCertificate) {
  const TlsFiles agent = shop.make("agent", "URI:" + kAgentUri);
  EXPECT_EQ(identity(agent), kAgentUri) << why;
  EXPECT_EQ(identity(agent, "manager.test"), kAgentUri) << why;
}

TEST_F(Tls, BigMessagesPassInBothDirections) {
  server->add("/test.Who/Echo", {.on_start = {},
                                 .on_message =
                                     [](ServerCall& call, std::string_view message) {
                                       call.send(message);
                                       call.finish({});
                                     },
                                 .on_half_close = {},
                                 .on_end = {}});
  const auto client = Client::make(loop, {.target = "127.0.0.1:" + std::to_string(server->port()),
                                          .tls = shop.make("agent", "URI:" + kAgentUri),
                                          .tls_name = "",
                                          .source = ""});
  const std::string big(kMaxMessageBytes, 'b');
  bool same = false;
  client->call("/test.Who/Echo", big, 5s, [&](const GrpcStatus&, std::string_view reply) { same = reply == big; });
  EXPECT_TRUE(until(loop, [&] { return same; }));
}

TEST_F(Tls, NobodyGetsInWithoutACertificateOfTheAuthority) {
  EXPECT_FALSE(identity(TlsFiles{"", "", shop.file("ca.pem")}));
  EXPECT_FALSE(identity(shop.make("stranger", "URI:" + kAgentUri, true)));
  EXPECT_FALSE(identity(shop.make("expired", "URI:" + kAgentUri, false, -1)));
  EXPECT_FALSE(identity(std::nullopt)) << "plaintext";
  EXPECT_EQ(server->counters().calls, 0u);
  EXPECT_EQ(identity(shop.make("agent", "URI:" + kAgentUri)), kAgentUri) << why;
}

TEST_F(Tls, TwoIdentitiesAreNone) {
  EXPECT_FALSE(identity(shop.make("two", "URI:" + kAgentUri + ",URI:spiffe://test/agent/i-other")));
  EXPECT_EQ(identity(shop.make("plain", "DNS:agent.test")), "") << why;
}

TEST_F(Tls, TheClientKnowsTheServerToo) {
  const TlsFiles agent = shop.make("agent", "URI:" + kAgentUri);
  EXPECT_FALSE(identity(agent, "somebody.else"));
  TlsFiles trusts_other = agent;
  trusts_other.authority = shop.file("other.pem");
  EXPECT_FALSE(identity(trusts_other));
}

TEST_F(Tls, ACertificateOutOfDateIsTold) {
  EXPECT_EQ(validity_fault(shop.make("good", "IP:127.0.0.1").certificate), "");
  EXPECT_EQ(validity_fault(shop.make("old", "IP:127.0.0.1", false, -1).certificate).substr(0, 13), "expired on 20");
}

TEST_F(Tls, FilesThatDoNotServeAreNamed) {
  const TlsFiles good = shop.make("good", "IP:127.0.0.1"), another = shop.make("another", "IP:127.0.0.1");
  const auto refused = [&](TlsFiles files, const std::string& name) {
    const auto got = Server::listen(loop, {.listen = "127.0.0.1:0", .tls = std::move(files), .limits = {}});
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().kind, ErrorKind::Invalid);
    EXPECT_NE(got.error().message.find(name), std::string::npos) << got.error().message;
  };
  refused({"/nowhere.pem", good.key, good.authority}, "/nowhere.pem");
  refused({good.certificate, another.key, good.authority}, another.key);
  refused({good.certificate, good.key, "/nowhere.pem"}, "/nowhere.pem");
  refused({"", good.key, good.authority}, "certificate");
  refused({good.key, good.key, good.authority}, "holds no certificate in PEM form");
  refused({good.certificate, good.certificate, good.authority}, "everybody may read it");
  chmod(good.certificate.c_str(), 0600);
  refused({good.certificate, good.certificate, good.authority}, "holds no private key in PEM form");
  const std::string pipe = shop.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  refused({pipe, good.key, good.authority}, "'" + pipe + "': is no plain file");
  refused({good.certificate, pipe, good.authority}, "'" + pipe + "': is no plain file");
  refused({good.certificate, shop.locked("locked"), good.authority}, "is encrypted");
}

}  // namespace
}  // namespace escala::wire
