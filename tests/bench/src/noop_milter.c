/*
 * A milter that looks at nothing and lets everything pass, on Debian's libmilter: what the usual library costs.
 * Arguments: the socket, and how much it leaves out, "plain" (an answer to each stage, as most milters are
 * written) or "quick" (the stages and answers that the sidecar leaves out are left out here, too, and its only
 * answer comes at the end of the header).
 */
#include <libmilter/mfapi.h>
#include <string.h>
#include <sys/stat.h>

static sfsistat mail(SMFICTX *context, char **arguments)
{
	(void)context, (void)arguments;
	return SMFIS_CONTINUE;
}

static sfsistat header(SMFICTX *context, char *name, char *value)
{
	(void)context, (void)name, (void)value;
	return SMFIS_CONTINUE;
}

static sfsistat end_of_header(SMFICTX *context)
{
	(void)context;
	return SMFIS_ACCEPT;
}

static sfsistat end_of_message(SMFICTX *context)
{
	(void)context;
	return SMFIS_CONTINUE;
}

static sfsistat quick(SMFICTX *context, unsigned long actions, unsigned long stages, unsigned long unused,
		      unsigned long unused_too, unsigned long *wanted_actions, unsigned long *wanted_stages,
		      unsigned long *none, unsigned long *none_too)
{
	(void)context, (void)actions, (void)unused, (void)unused_too;
	*wanted_actions = 0;
	*wanted_stages = stages & (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOBODY | SMFIP_NOUNKNOWN |
				   SMFIP_NODATA | SMFIP_NR_HDR | SMFIP_NR_MAIL | SMFIP_NR_RCPT);
	*none = *none_too = 0;
	return SMFIS_CONTINUE;
}

int main(int count, char **arguments)
{
	struct smfiDesc description = {
		.xxfi_name = "no-op", .xxfi_version = SMFI_VERSION, .xxfi_envfrom = mail,
		.xxfi_envrcpt = mail, .xxfi_header = header, .xxfi_eom = end_of_message,
	};
	if (count != 3)
		return 2;
	if (strcmp(arguments[2], "quick") == 0) {
		description.xxfi_negotiate = quick;
		description.xxfi_eoh = end_of_header;
	}
	umask(0);
	if (smfi_setconn(arguments[1]) == MI_FAILURE || smfi_register(description) == MI_FAILURE)
		return 1;
	return smfi_main();
}
