CREATE TABLE compositions (
    id TEXT PRIMARY KEY,
    room TEXT NOT NULL,
    session TEXT NOT NULL,
    format TEXT NOT NULL,
    request TEXT NOT NULL,
    from_ms BIGINT,
    to_ms BIGINT,
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    duration_ms BIGINT,
    size BIGINT,
    sha256 TEXT,
    expires_at BIGINT,
    error TEXT,
    detail TEXT,
    deleted_at BIGINT
);
CREATE INDEX compositions_by_time ON compositions (created_at, id);
CREATE INDEX compositions_by_room ON compositions (room, created_at, id);
CREATE INDEX compositions_by_session ON compositions (session, created_at, id);
CREATE INDEX compositions_by_state ON compositions (state, created_at, id);
CREATE INDEX compositions_by_expiry ON compositions (expires_at);
CREATE INDEX compositions_deleted ON compositions (id) WHERE deleted_at IS NOT NULL;
CREATE TABLE composition_inputs (
    composition TEXT NOT NULL,
    recording TEXT NOT NULL,
    participant TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    PRIMARY KEY (composition, recording, participant)
);
CREATE INDEX composition_inputs_by_participant ON composition_inputs (participant, started_at);
