-- The tables as the original backend has them by now: what it shares with the platform, and what came since.
-- Moments are what CURRENT_TIMESTAMP is in a column without a time zone: the local time of the session.

CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    email VARCHAR(255) NOT NULL UNIQUE,
    password_hash VARCHAR(255) NOT NULL,
    is_email_verified BOOLEAN NOT NULL DEFAULT FALSE,
    onboarding_complete BOOLEAN DEFAULT FALSE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_users_uuid ON users (uuid);

CREATE TABLE user_information (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL UNIQUE REFERENCES users (uuid) ON DELETE CASCADE,
    first_name VARCHAR(100) NOT NULL,
    last_name VARCHAR(100) NOT NULL,
    phone_number VARCHAR(20),
    country VARCHAR(100),
    city VARCHAR(100),
    address TEXT,
    zip_code VARCHAR(20),
    avatar TEXT,
    role VARCHAR(50) NOT NULL CHECK (role IN ('developer', 'team', 'sub_team_developer')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE organizations (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    name VARCHAR(255) NOT NULL UNIQUE,
    owner_id UUID NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE organization_members (
    id SERIAL PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (uuid) ON DELETE CASCADE,
    user_id UUID NOT NULL UNIQUE REFERENCES users (uuid) ON DELETE CASCADE,
    joined_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE functions (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    status VARCHAR(50) DEFAULT 'active',
    active_deployment_id INTEGER,
    skip_signing BOOLEAN DEFAULT FALSE,
    analysis_result JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (user_id, name)
);
CREATE INDEX idx_functions_user_id ON functions (user_id);

CREATE TABLE function_deployments (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    function_id INTEGER NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    image_tag VARCHAR(255) NOT NULL,
    s3_key VARCHAR(500) NOT NULL,
    status VARCHAR(50) DEFAULT 'building',
    is_active BOOLEAN DEFAULT FALSE,
    build_logs TEXT,
    deployed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (function_id, version)
);
CREATE INDEX idx_function_deployments_function_id ON function_deployments (function_id);

CREATE TABLE function_deploy_logs (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    function_uuid UUID NOT NULL REFERENCES functions (uuid) ON DELETE CASCADE,
    level VARCHAR(20) NOT NULL,
    message JSONB NOT NULL,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_function_deploy_logs_function ON function_deploy_logs (function_uuid);
CREATE INDEX idx_function_deploy_logs_timestamp ON function_deploy_logs (timestamp);

CREATE TABLE function_invocations (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    function_id INTEGER NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    status VARCHAR(50) NOT NULL,
    duration_ms INTEGER,
    error TEXT,
    logs JSONB,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    request_info JSONB,
    result TEXT,
    success BOOLEAN
);
CREATE INDEX idx_function_invocations_function_id ON function_invocations (function_id);
CREATE INDEX idx_function_invocations_timestamp ON function_invocations (timestamp);

CREATE TABLE api_keys (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    function_uuid UUID NOT NULL REFERENCES functions (uuid) ON DELETE CASCADE,
    public_key TEXT NOT NULL,
    private_key_hash VARCHAR(255),
    validity VARCHAR(20) NOT NULL CHECK (validity IN ('1h', '1d', '1w', '1m', 'forever')),
    expires_at TIMESTAMP WITH TIME ZONE,
    is_active BOOLEAN DEFAULT TRUE,
    name VARCHAR(255),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT CURRENT_TIMESTAMP,
    revoked_at TIMESTAMP WITH TIME ZONE
);
CREATE INDEX idx_api_keys_function ON api_keys (function_uuid);

CREATE TABLE logs (
    id SERIAL PRIMARY KEY,
    uuid UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    level VARCHAR(20) NOT NULL,
    message JSONB NOT NULL,
    action TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_logs_action ON logs (action);
CREATE INDEX idx_logs_created_at ON logs (created_at);

CREATE TABLE email_verification_otps (
    id SERIAL PRIMARY KEY,
    user_uuid UUID NOT NULL REFERENCES users (uuid) ON DELETE CASCADE,
    otp_hash VARCHAR(255) NOT NULL,
    salt VARCHAR(255) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_email_verification_otps_user ON email_verification_otps (user_uuid);
