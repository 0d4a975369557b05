# Written by the role fleetpost.mail.dovecot: changes by hand are lost.
# Runs before the users' own scripts, which see only what is not spam. Exim sets the header (and removes it from mail of outside)
# where the mailbox has spam_action: junk.
require ["fileinto", "mailbox"];

if header :is "X-Spam-Folder" "Junk" {
    fileinto :create "Junk";
    stop;
}
