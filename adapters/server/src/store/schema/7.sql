CREATE TABLE recordings (
    id TEXT PRIMARY KEY,
    room TEXT NOT NULL,
    session TEXT NOT NULL,
    participant TEXT NOT NULL,
    stream TEXT NOT NULL,
    kind TEXT NOT NULL,
    codec TEXT NOT NULL,
    state TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    duration_ms BIGINT,
    size BIGINT,
    sha256 TEXT,
    lost_ms BIGINT,
    silent_ms BIGINT,
    expires_at BIGINT,
    error TEXT,
    spooled BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX recordings_by_time ON recordings (started_at, id);
CREATE INDEX recordings_by_end ON recordings (ended_at, id);
CREATE INDEX recordings_by_room ON recordings (room, started_at, id);
CREATE INDEX recordings_by_session ON recordings (session, started_at, id);
CREATE INDEX recordings_by_participant ON recordings (participant, started_at, id);
CREATE INDEX recordings_by_kind ON recordings (kind, started_at, id);
CREATE INDEX recordings_by_state ON recordings (state, started_at, id);
CREATE INDEX recordings_by_expiry ON recordings (expires_at);
CREATE INDEX recordings_spooled ON recordings (id) WHERE spooled <> 0;
CREATE INDEX recordings_deleted ON recordings (id) WHERE deleted_at IS NOT NULL;
