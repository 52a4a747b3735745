import ca.uhn.fhir.batch2.api.IJobMaintenanceService;
import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binary.api.IBinaryStorageSvc;
import ca.uhn.fhir.jpa.binstore.MemoryBinaryStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.jpa.topic.ISubscriptionTopicLoader;
import ca.uhn.fhir.jpa.topic.SubscriptionTopicConfig;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import jakarta.persistence.EntityManagerFactory;
import java.util.Properties;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.BasicDataSource;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.dstu2.model.Subscription.SubscriptionChannelType;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * HAPI's JPA server for R4, its database in memory or where -Ddatabase says: rest-hook Subscriptions, paging, bulk export.
 * Wardstream's tests start it by `java -cp 'libs/*' JpaServer.java PORT`; it says on standard output when it listens.
 * Nobody is asked who he is.
 */
public class JpaServer {
  @Configuration
  @Import({
    JpaR4Config.class, HapiJpaConfig.class, JpaBatch2Config.class, Batch2JobsConfig.class, ThreadPoolFactoryConfig.class,
    SubscriptionSubmitterConfig.class, SubscriptionProcessorConfig.class, SubscriptionChannelConfig.class,
    SubscriptionTopicConfig.class
  })
  public static class Config {
    @Bean public JpaStorageSettings storageSettings() {
      JpaStorageSettings settings = new JpaStorageSettings();
      settings.setAllowExternalReferences(true);
      settings.setEnforceReferentialIntegrityOnWrite(false);
      settings.setResourceClientIdStrategy(JpaStorageSettings.ClientIdStrategyEnum.ANY);
      settings.setReuseCachedSearchResultsForMillis(null);
      settings.setHibernateSearchIndexSearchParams(false);
      return settings;
    }
    @Bean public SubscriptionSettings subscriptionSettings() {
      SubscriptionSettings settings = new SubscriptionSettings();
      settings.addSupportedSubscriptionType(SubscriptionChannelType.RESTHOOK);
      settings.setSubscriptionIntervalInMs(500);
      return settings;
    }
    @Bean public ca.uhn.fhir.jpa.subscription.match.deliver.email.IEmailSender emailSender() { return details -> {}; }
    @Bean public PartitionSettings partitionSettings() { return new PartitionSettings(); }
    @Bean public IBinaryStorageSvc binaryStorage() { return new MemoryBinaryStorageSvcImpl(); }
    @Bean public DataSource dataSource() {
      BasicDataSource source = new BasicDataSource();
      source.setDriver(new org.h2.Driver());
      source.setUrl(System.getProperty("database", "jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1"));
      source.setUsername("sa");
      source.setPassword("");
      source.setMaxTotal(20);
      return source;
    }
    @Bean @Primary public LocalContainerEntityManagerFactoryBean entityManagerFactory(
        DataSource source, ConfigurableListableBeanFactory beans, FhirContext context, JpaStorageSettings settings) {
      LocalContainerEntityManagerFactoryBean factory =
          HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, context, settings);
      factory.setPersistenceUnitName("fhir");
      factory.setDataSource(source);
      Properties properties = new Properties();
      properties.put("hibernate.hbm2ddl.auto", "update");
      properties.put("hibernate.dialect", HapiFhirH2Dialect.class.getName());
      properties.put("hibernate.search.enabled", "false");
      factory.setJpaProperties(properties);
      return factory;
    }
    @Bean @Primary public JpaTransactionManager transactionManager(EntityManagerFactory factory) {
      JpaTransactionManager manager = new JpaTransactionManager();
      manager.setEntityManagerFactory(factory);
      return manager;
    }
    @Bean public DatabaseBackedPagingProvider databaseBackedPagingProvider() {
      DatabaseBackedPagingProvider paging = new DatabaseBackedPagingProvider();
      paging.setDefaultPageSize(20);
      paging.setMaximumPageSize(200);
      return paging;
    }
  }

  /** Looks every half second whether an export can go on and a topic is new; by itself the server does so once a minute. */
  static void hurry(IJobMaintenanceService maintenance, ISubscriptionTopicLoader topics) {
    while (true) {
      try {
        Thread.sleep(500);
        maintenance.runMaintenancePass();
        topics.forceRefresh();
      } catch (InterruptedException stopped) {
        return;
      } catch (RuntimeException again) {
        // The next pass does what this one could not.
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    AnnotationConfigApplicationContext spring = new AnnotationConfigApplicationContext(Config.class);
    RestfulServer fhir = new RestfulServer(spring.getBean(FhirContext.class));
    fhir.registerProviders(spring.getBean(ResourceProviderFactory.class).createProviders());
    fhir.registerProvider(spring.getBean(IJpaSystemProvider.class));
    fhir.registerProvider(spring.getBean(BulkDataExportProvider.class));
    fhir.setPagingProvider(spring.getBean(DatabaseBackedPagingProvider.class));
    fhir.setInterceptorService(spring.getBean(ca.uhn.fhir.interceptor.executor.InterceptorService.class));
    Thread hurry = new Thread(
        () -> hurry(spring.getBean(IJobMaintenanceService.class), spring.getBean(ISubscriptionTopicLoader.class)), "hurry");
    hurry.setDaemon(true);
    hurry.start();
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(arguments[0]));
    server.addConnector(connector);
    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(new ServletHolder(fhir), "/fhir/*");
    server.setHandler(handler);
    server.start();
    System.out.println("{\"event\":\"listening\",\"port\":" + connector.getLocalPort() + "}");
    System.out.flush();
    server.join();
  }
}
