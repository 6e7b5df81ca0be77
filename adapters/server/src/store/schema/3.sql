CREATE TABLE samples (
    session TEXT NOT NULL,
    at BIGINT NOT NULL,
    participant TEXT NOT NULL,
    path TEXT NOT NULL,
    weight BIGINT NOT NULL,
    uplink_loss BIGINT NOT NULL,
    downlink_loss BIGINT NOT NULL,
    jitter_us BIGINT NOT NULL,
    round_trip_us BIGINT,
    quality BIGINT NOT NULL,
    worst_quality BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    bytes_sent BIGINT NOT NULL,
    PRIMARY KEY (session, at, participant)
) WITHOUT ROWID;

DROP INDEX participants_by_left;
CREATE INDEX participants_by_left ON participants (left_at, session, participant);
CREATE INDEX sessions_open ON sessions (room, started_at) WHERE ended_at IS NULL;
CREATE INDEX refresh_tokens_by_room ON refresh_tokens (room, participant);
CREATE INDEX bans_by_end ON bans (until);
