# Homebrew formula, filled in by the release workflow and attached to the release; copy it into a tap as Formula/mux.rb.
class Mux < Formula
  desc "Local-first coding assistant that proves its work with your tests"
  homepage "https://github.com/@REPOSITORY@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/mux-@VERSION@-universal-apple-darwin.tar.gz"
    sha256 "@SHA256_UNIVERSAL_APPLE_DARWIN@"
  end

  on_linux do
    on_intel do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/mux-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256_X86_64_UNKNOWN_LINUX_MUSL@"
    end
    on_arm do
      url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/mux-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256_AARCH64_UNKNOWN_LINUX_MUSL@"
    end
  end

  def install
    bin.install "mux"
    generate_completions_from_executable(bin/"mux", "completions")
    (man1/"mux.1").write Utils.safe_popen_read(bin/"mux", "man")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/mux --version")
  end
end
