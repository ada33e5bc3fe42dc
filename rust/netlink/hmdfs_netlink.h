/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/hmdfs.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/netlink-codegen */

#ifndef _UAPI_LINUX_HMDFS_NETLINK_H
#define _UAPI_LINUX_HMDFS_NETLINK_H

#define HMDFS_FAMILY_NAME	"hmdfs"
#define HMDFS_FAMILY_VERSION	1

#define HMDFS_DEVICE_ID_LEN	32
#define HMDFS_DEVICE_NAME_MAX	63

/*
 * What a device may do with the directory that this mount exports.
 */
enum hmdfs_access {
	HMDFS_ACCESS_NONE,
	HMDFS_ACCESS_READ,
	HMDFS_ACCESS_WRITE,
};

/*
 * Which side opened the TCP connection.
 */
enum hmdfs_link_role {
	HMDFS_LINK_ROLE_INITIATOR,
	HMDFS_LINK_ROLE_ACCEPTOR,
};

/*
 * Greeting until the peer's HELLO was accepted; only a link that is up carries
 * requests.
 */
enum hmdfs_link_state {
	HMDFS_LINK_STATE_GREETING,
	HMDFS_LINK_STATE_UP,
	HMDFS_LINK_STATE_DOWN,
};

/**
 * enum hmdfs_down_reason
 * @HMDFS_DOWN_REASON_NONE: The link is not down.
 * @HMDFS_DOWN_REASON_ADMIN: link-del, device-del or unmounting.
 * @HMDFS_DOWN_REASON_PEER_BYE: The peer said that it ends the link.
 * @HMDFS_DOWN_REASON_CLOSED: The connection ended without a goodbye.
 * @HMDFS_DOWN_REASON_TIMEOUT: The peer stayed silent.
 * @HMDFS_DOWN_REASON_IO_ERROR: The socket reported an error.
 * @HMDFS_DOWN_REASON_BAD_RECORD: A TLS record failed authentication or was of
 *   an unexpected type.
 * @HMDFS_DOWN_REASON_PROTOCOL: The peer sent something that the protocol does
 *   not allow.
 * @HMDFS_DOWN_REASON_VERSION: The two sides have no protocol version in
 *   common.
 * @HMDFS_DOWN_REASON_KEY_LIMIT: The keys have protected as many records as
 *   they may.
 */
enum hmdfs_down_reason {
	HMDFS_DOWN_REASON_NONE,
	HMDFS_DOWN_REASON_ADMIN,
	HMDFS_DOWN_REASON_PEER_BYE,
	HMDFS_DOWN_REASON_CLOSED,
	HMDFS_DOWN_REASON_TIMEOUT,
	HMDFS_DOWN_REASON_IO_ERROR,
	HMDFS_DOWN_REASON_BAD_RECORD,
	HMDFS_DOWN_REASON_PROTOCOL,
	HMDFS_DOWN_REASON_VERSION,
	HMDFS_DOWN_REASON_KEY_LIMIT,
};

enum {
	HMDFS_A_INSTANCE_ID = 1,
	HMDFS_A_INSTANCE_MOUNTED,
	HMDFS_A_INSTANCE_PROTOCOL_MIN,
	HMDFS_A_INSTANCE_PROTOCOL_MAX,
	HMDFS_A_INSTANCE_FEATURES,
	HMDFS_A_INSTANCE_EPOCH,

	__HMDFS_A_INSTANCE_MAX,
	HMDFS_A_INSTANCE_MAX = (__HMDFS_A_INSTANCE_MAX - 1)
};

enum {
	HMDFS_A_DEVICE_PEER_ID = 1,
	HMDFS_A_DEVICE_NUMBER,
	HMDFS_A_DEVICE_NAME,
	HMDFS_A_DEVICE_ACCESS,
	HMDFS_A_DEVICE_LEVEL,
	HMDFS_A_DEVICE_ONLINE,
	HMDFS_A_DEVICE_LINKS,

	__HMDFS_A_DEVICE_MAX,
	HMDFS_A_DEVICE_MAX = (__HMDFS_A_DEVICE_MAX - 1)
};

enum {
	HMDFS_A_LINK_ID = 1,
	HMDFS_A_LINK_PEER_ID,
	HMDFS_A_LINK_SOCKFD,
	HMDFS_A_LINK_ROLE,
	HMDFS_A_LINK_STATE,
	HMDFS_A_LINK_DOWN_REASON,
	HMDFS_A_LINK_ERROR,
	HMDFS_A_LINK_STATS,

	__HMDFS_A_LINK_MAX,
	HMDFS_A_LINK_MAX = (__HMDFS_A_LINK_MAX - 1)
};

enum {
	HMDFS_A_LINK_STATS_REQUESTS_SENT = 1,
	HMDFS_A_LINK_STATS_REQUESTS_RECEIVED,
	HMDFS_A_LINK_STATS_REPLIES_RECEIVED,
	HMDFS_A_LINK_STATS_RX_BYTES,
	HMDFS_A_LINK_STATS_TX_BYTES,
	HMDFS_A_LINK_STATS_TIMEOUTS,
	HMDFS_A_LINK_STATS_INFLIGHT,
	HMDFS_A_LINK_STATS_RTT_USEC,

	__HMDFS_A_LINK_STATS_MAX,
	HMDFS_A_LINK_STATS_MAX = (__HMDFS_A_LINK_STATS_MAX - 1)
};

enum {
	HMDFS_CMD_INSTANCE_GET = 1,
	HMDFS_CMD_INSTANCE_NTF,
	HMDFS_CMD_DEVICE_SET,
	HMDFS_CMD_DEVICE_DEL,
	HMDFS_CMD_DEVICE_GET,
	HMDFS_CMD_DEVICE_NTF,
	HMDFS_CMD_LINK_ADD,
	HMDFS_CMD_LINK_DEL,
	HMDFS_CMD_LINK_GET,
	HMDFS_CMD_LINK_NTF,

	__HMDFS_CMD_MAX,
	HMDFS_CMD_MAX = (__HMDFS_CMD_MAX - 1)
};

#define HMDFS_MCGRP_EVENTS	"events"

#endif /* _UAPI_LINUX_HMDFS_NETLINK_H */
