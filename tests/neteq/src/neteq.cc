// NetEQ in virtual time, as WebRTC's receiver sets it up.
//
//   neteq PHASE_US READ_US UNTIL_US < packets > heard.pcm
//
// A packet is a line: the µs of its arrival, sequence number, timestamp, marker, payload in hexadecimal. What is heard is
// mono at 48 kHz from time 0. The last line of the standard error says how many frames were decoded or rebuilt by FEC.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "api/audio/audio_frame.h"
#include "api/audio_codecs/audio_decoder.h"
#include "api/audio_codecs/audio_decoder_factory.h"
#include "api/audio_codecs/opus/audio_decoder_opus.h"
#include "api/neteq/neteq.h"
#include "api/rtp_headers.h"
#include "modules/audio_coding/neteq/default_neteq_factory.h"
#include "system_wrappers/include/clock.h"
#include "system_wrappers/include/field_trial.h"

namespace {

using webrtc::AudioDecoder;

long frames = 0;

class CountedFrame : public AudioDecoder::EncodedAudioFrame {
 public:
  explicit CountedFrame(std::unique_ptr<EncodedAudioFrame> frame) : frame_(std::move(frame)) {}
  size_t Duration() const override { return frame_->Duration(); }
  bool IsDtxPacket() const override { return frame_->IsDtxPacket(); }
  absl::optional<DecodeResult> Decode(rtc::ArrayView<int16_t> pcm) const override {
    if (!IsDtxPacket()) ++frames;
    return frame_->Decode(pcm);
  }

 private:
  std::unique_ptr<EncodedAudioFrame> frame_;
};

// Passes everything on to WebRTC's decoder of Opus, but for the frames, which are counted.
class CountedDecoder : public AudioDecoder {
 public:
  explicit CountedDecoder(std::unique_ptr<AudioDecoder> opus) : opus_(std::move(opus)) {}

  std::vector<ParseResult> ParsePayload(rtc::Buffer&& payload, uint32_t timestamp) override {
    std::vector<ParseResult> counted;
    for (ParseResult& result : opus_->ParsePayload(std::move(payload), timestamp))
      counted.emplace_back(result.timestamp, result.priority,
                           std::make_unique<CountedFrame>(std::move(result.frame)));
    return counted;
  }
  bool HasDecodePlc() const override { return opus_->HasDecodePlc(); }
  size_t DecodePlc(size_t count, int16_t* pcm) override { return opus_->DecodePlc(count, pcm); }
  void GeneratePlc(size_t samples, rtc::BufferT<int16_t>* pcm) override { opus_->GeneratePlc(samples, pcm); }
  void Reset() override { opus_->Reset(); }
  int ErrorCode() override { return opus_->ErrorCode(); }
  int PacketDuration(const uint8_t* data, size_t len) const override { return opus_->PacketDuration(data, len); }
  int PacketDurationRedundant(const uint8_t* data, size_t len) const override {
    return opus_->PacketDurationRedundant(data, len);
  }
  bool PacketHasFec(const uint8_t* data, size_t len) const override { return opus_->PacketHasFec(data, len); }
  int SampleRateHz() const override { return opus_->SampleRateHz(); }
  size_t Channels() const override { return opus_->Channels(); }

 protected:
  // NetEQ asks for comfort noise in this way.
  int DecodeInternal(const uint8_t* data, size_t len, int rate, int16_t* pcm, SpeechType* type) override {
    constexpr size_t kNoLimit = 1 << 20;
    return opus_->Decode(data, len, rate, kNoLimit, pcm, type);
  }

 private:
  std::unique_ptr<AudioDecoder> opus_;
};

class OpusFactory : public webrtc::AudioDecoderFactory {
 public:
  std::vector<webrtc::AudioCodecSpec> GetSupportedDecoders() override {
    std::vector<webrtc::AudioCodecSpec> specs;
    webrtc::AudioDecoderOpus::AppendSupportedDecoders(&specs);
    return specs;
  }
  bool IsSupportedDecoder(const webrtc::SdpAudioFormat& format) override {
    return webrtc::AudioDecoderOpus::SdpToConfig(format).has_value();
  }
  std::unique_ptr<AudioDecoder> MakeAudioDecoder(const webrtc::SdpAudioFormat& format,
                                                 absl::optional<webrtc::AudioCodecPairId> pair) override {
    auto config = webrtc::AudioDecoderOpus::SdpToConfig(format);
    if (!config) return nullptr;
    return std::make_unique<CountedDecoder>(webrtc::AudioDecoderOpus::MakeAudioDecoder(*config, pair));
  }
};

struct Packet {
  int64_t at = 0;
  webrtc::RTPHeader header;
  std::vector<uint8_t> payload;
};

constexpr int kPayloadType = 111;

std::vector<Packet> ReadPackets() {
  std::vector<Packet> packets;
  for (std::string line; std::getline(std::cin, line);) {
    Packet packet;
    long sequence = 0;
    std::string hex;
    std::istringstream(line) >> packet.at >> sequence >> packet.header.timestamp >> packet.header.markerBit >> hex;
    packet.header.sequenceNumber = static_cast<uint16_t>(sequence);
    packet.header.payloadType = kPayloadType;
    packet.header.ssrc = 1;
    for (size_t at = 0; at + 1 < hex.size(); at += 2)
      packet.payload.push_back(static_cast<uint8_t>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    packets.push_back(std::move(packet));
  }
  return packets;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int64_t phase = std::atoll(argv[1]), read = std::atoll(argv[2]), until = std::atoll(argv[3]);
  if (const char* trials = std::getenv("FIELD_TRIALS")) webrtc::field_trial::InitFieldTrialsFromString(trials);
  const std::vector<Packet> packets = ReadPackets();

  webrtc::SimulatedClock clock(0);
  webrtc::NetEq::Config config;
  config.sample_rate_hz = 48000;
  config.max_packets_in_buffer = 200;
  config.enable_muted_state = true;
  rtc::scoped_refptr<webrtc::AudioDecoderFactory> factory(new rtc::RefCountedObject<OpusFactory>());
  auto neteq = webrtc::DefaultNetEqFactory().CreateNetEq(config, factory, &clock);
  neteq->RegisterPayloadType(kPayloadType,
                             webrtc::SdpAudioFormat("opus", 48000, 2, {{"minptime", "10"}, {"useinbandfec", "1"}}));

  std::vector<int16_t> heard(phase * 48 / 1000, 0);
  int64_t time = 0;
  auto wait = [&](int64_t until_us) {
    if (until_us > time) clock.AdvanceTimeMicroseconds(until_us - time);
    time = std::max(time, until_us);
  };
  size_t next = 0;
  for (int64_t now = phase; now < until; now += read) {
    for (; next < packets.size() && packets[next].at <= now; ++next) {
      wait(packets[next].at);
      neteq->InsertPacket(packets[next].header, packets[next].payload);
    }
    wait(now);
    webrtc::AudioFrame frame;
    bool muted = false;
    if (neteq->GetAudio(&frame, &muted) != webrtc::NetEq::kOK) {
      std::cerr << "no audio at " << now << " us\n";
      return 1;
    }
    // Before the first packet it may have another rate: that is silence.
    const size_t samples = read * 48 / 1000;
    const bool silent = muted || frame.samples_per_channel() != samples || frame.num_channels() == 0;
    for (size_t at = 0; at < samples; ++at)
      heard.push_back(silent ? 0 : frame.data()[at * frame.num_channels()]);
  }
  std::cout.write(reinterpret_cast<const char*>(heard.data()), heard.size() * sizeof(heard[0]));
  std::cerr << "frames " << frames << '\n';
}
